"""Logging in as a user without any secret of the user's."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from dataclasses import replace

from haproxy_voip.configuration.model import ImpersonationConfig
from haproxy_voip.core.credential import Secret
from haproxy_voip.proxy.chat.accounts import Account
from haproxy_voip.proxy.chat.impersonation import TOKEN_SECONDS, impersonating
from haproxy_voip.proxy.chat_facts import ChatLoginRefused
from haproxy_voip.xmpp.sasl.ladder import ByImpersonation, ByToken
from tests.proxy.chat.stage import Stage, config

ADMIN = ImpersonationConfig(user="proxy", secret=Secret("topsecret"))
TOKEN = ImpersonationConfig(by="token", secret=Secret("a key"))
ALICE = Account("alice", "chat.test", ours=True)


def test_an_administrator_logs_in_for_a_user_of_the_users_file() -> None:
    assert impersonating(ALICE, ADMIN, 0.0) == ByImpersonation("proxy", "topsecret")
    assert impersonating(ALICE, None, 0.0) is None


def test_nobody_is_impersonated_whom_only_the_backend_can_know() -> None:
    """Any password would do."""
    stranger = Account("alice", "chat.test", password="a guess", ours=False)
    assert impersonating(stranger, ADMIN, 0.0) is impersonating(stranger, TOKEN, 0.0) is None


def test_a_token_is_about_this_user_and_good_for_a_minute() -> None:
    way = impersonating(ALICE, TOKEN, 1_700_000_000.5)
    assert isinstance(way, ByToken)
    body = way.token.split(".")[1]
    claims = json.loads(urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    assert claims == {"jid": "alice@chat.test", "exp": 1_700_000_000 + TOKEN_SECONDS}


def stage_with_tokens(key: bytes = b"a key") -> Stage:
    """The proxy has a key; its servers know this one."""
    plain = config()
    chat = replace(plain.backends[0].chat, login=("password", "impersonation"), impersonation=TOKEN)
    stage = Stage(replace(plain, backends=tuple(replace(backend, chat=chat) for backend in plain.backends)))
    for server in stage.servers.values():
        server.token_key = key
    return stage


def test_a_password_changed_at_the_backend_is_no_matter_where_the_proxy_may_be_anybody() -> None:
    """The ladder goes on after the refusal."""
    stage = stage_with_tokens()
    stage.beta.passwords["alice"] = "changed"
    alice = stage.client("alice")
    stage.kill("alpha")
    stage.run(1.0)
    assert stage.backend_of(alice) == "beta" and alice.error is None
    assert not [fact for fact in stage.facts if isinstance(fact, ChatLoginRefused)]


def test_a_server_with_another_key_is_none_the_wiser() -> None:
    stage = stage_with_tokens(b"another key")
    stage.alpha.passwords["alice"] = "changed"
    assert stage.connect("alice").failed is not None


def test_no_secret_is_ever_shown() -> None:
    assert "topsecret" not in repr(ADMIN) and "a key" not in repr(TOKEN)
