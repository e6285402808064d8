"""What a session has had is recognised when it comes again, also to the user's next session."""

from __future__ import annotations

from haproxy_voip.proxy.chat.heard import MAX_HEARD, MAX_USERS, Heard, HeardBefore
from tests.proxy.chat.server import DOMAIN
from tests.proxy.chat.stage import Stage, config


def key(id: str) -> tuple[str, bool, str, str, bytes]:
    return "message", False, id, "", b"said"


def test_a_message_is_new_once() -> None:
    heard = Heard()
    assert heard.is_new("alice@x/home", key("1"))
    assert not heard.is_new("alice@x/home", key("1"))
    assert heard.has("alice@x/home", key("1")) and not heard.has("bob@x/home", key("1"))
    assert heard.is_new("bob@x/home", key("1")) and heard.is_new("alice@x/home", key("2"))


def test_the_oldest_are_forgotten_and_none_takes_much_room() -> None:
    heard = Heard()
    for number in range(MAX_HEARD + 1):
        heard.is_new("alice@x/home", key(f"{number}" * 10_000))
    assert len(heard.digests) == MAX_HEARD and max(map(len, heard.digests)) == 16
    assert heard.is_new("alice@x/home", key("0" * 10_000))


def test_the_next_session_knows_what_the_last_one_had() -> None:
    before = HeardBefore()
    heard = before.begin("bob@x")
    heard.is_new("alice@x/home", key("1"))
    before.end("bob@x", heard)
    assert not before.begin("bob@x").is_new("alice@x/home", key("1"))
    assert before.begin("carol@x").is_new("alice@x/home", key("1"))


def test_what_the_client_did_not_get_in_the_end_is_new_again() -> None:
    heard = Heard()
    heard.is_new("alice@x/home", key("1"))
    heard.never_had("alice@x/home", key("1"))
    heard.never_had("alice@x/home", key("never came"))
    assert heard.is_new("alice@x/home", key("1"))


def test_of_two_sessions_that_end_both_are_remembered() -> None:
    before = HeardBefore()
    for id in ("1", "2"):
        heard = Heard()
        heard.is_new("alice@x/home", key(id))
        before.end("bob@x", heard)
    assert len(before.begin("bob@x").digests) == 2


def test_users_who_were_here_long_ago_are_forgotten() -> None:
    before = HeardBefore()
    for number in range(MAX_USERS + 1):
        before.end(f"{number}@x", Heard([b"digest"]))
    assert not before.begin("0@x").digests and before.begin("1@x").digests


def test_what_a_frozen_server_stored_is_not_delivered_to_the_users_next_session() -> None:
    """Seed 121 of tests/simulation/chat_storms.py: bob had it, logged out, and would get it again at his next login."""
    stage = Stage(config("cold"))
    alice, bob = stage.client("alice"), stage.client("bob")
    alice.say(bob.jid, "had it")
    assert bob.said() == ["had it"]
    [message] = bob.take("message")
    bob.send("</stream:stream>")
    stage.run(1.0)
    delay = b"<delay xmlns='urn:xmpp:delay' stamp='2020-01-01T00:00:00Z'/></message>"
    others = message.raw.replace(b"had it", b"had it not")
    stage.alpha.offline[f"bob@{DOMAIN}"] = [one.replace(b"</message>", delay) for one in (message.raw, others)]
    again = stage.connect("bob")
    again.send("<presence/>")
    assert again.said() == ["had it not"]
