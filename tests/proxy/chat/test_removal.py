"""A server is added, or removed, while clients chat: nobody is disconnected and no word is lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from haproxy_voip.configuration.model import BackendConfig, LimitsConfig
from haproxy_voip.proxy.effects import ForgetBackend
from haproxy_voip.proxy.events import Reconfigured
from haproxy_voip.proxy.facts import BackendGone, BackendLeaves
from tests.proxy.chat.stage import Stage, config


def reload(stage: Stage, *names: str, **changes: object) -> None:
    known: dict[str, BackendConfig] = {backend.name: backend for backend in config().backends}
    changed = replace(stage.config, backends=tuple(known[name] for name in names), **changes)  # type: ignore[arg-type]
    stage.feed(Reconfigured(changed))


def backends(stage: Stage) -> list[str]:
    return list(stage.node.chat.shared.backends.pool.members)  # type: ignore[union-attr]


@pytest.mark.parametrize("standby", ["available", "hot", "warm", "cold"])
def test_sessions_move_away_from_a_server_that_is_removed_and_then_it_is_gone(standby: str) -> None:
    stage = Stage(config(standby))
    alice, bob = stage.client("alice"), stage.client("bob")
    stage.run(1.0)
    alice.say(bob.jid, "one")
    reload(stage, "beta", "charlie")
    alice.say(bob.jid, "two")
    stage.run(3.0)
    alice.say(bob.jid, "three")
    stage.run(1.0)
    assert bob.said() == ["one", "two", "three"]
    assert not alice.ended and not bob.ended
    assert stage.backend_of(alice) == stage.backend_of(bob) == "beta"
    assert backends(stage) == ["beta", "charlie"]
    told = [fact for fact in stage.facts if isinstance(fact, BackendLeaves | BackendGone | ForgetBackend)]
    assert told == [BackendLeaves("alpha", "xmpp"), ForgetBackend("alpha", "xmpp"), BackendGone("alpha", "xmpp")]
    shared = stage.node.chat.shared  # type: ignore[union-attr]
    assert "alpha" not in shared.lines and "alpha" not in shared.sessions.by_backend and not shared.former


def test_reserves_leave_a_server_that_is_removed() -> None:
    stage = Stage(config("hot"))
    alice = stage.client("alice")
    stage.run(1.0)
    assert stage.beta.sessions
    reload(stage, "alpha", "charlie")
    stage.run(3.0)
    assert not stage.beta.sessions and backends(stage) == ["alpha", "charlie"]
    stage.kill("alpha")
    stage.run(2.0)
    assert stage.backend_of(alice) == "charlie" and not alice.ended


def test_the_only_server_goes_on_until_the_one_that_replaces_it_is_up() -> None:
    stage = Stage()
    reload(stage, "alpha")
    alice = stage.client("alice")
    stage.run(2.0)
    assert backends(stage) == ["alpha"]
    stage.kill("beta")
    reload(stage, "beta")
    stage.run(2.0)
    assert stage.backend_of(alice) == "alpha"
    stage.revive("beta")
    stage.run(2.0)
    assert stage.backend_of(alice) == "beta" and backends(stage) == ["beta"]
    assert not alice.ended


def test_a_server_that_dies_while_it_is_left_loses_nothing() -> None:
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    stage.alpha.mute = True
    alice.say(bob.jid, "lost?")
    reload(stage, "beta", "charlie")
    stage.kill("alpha")
    stage.run(3.0)
    assert bob.said() == ["lost?"]
    assert backends(stage) == ["beta", "charlie"]


def test_a_server_that_is_taken_back_is_used_again() -> None:
    stage = Stage()
    alice = stage.client("alice")
    reload(stage, "beta", "charlie")
    reload(stage, "alpha", "beta", "charlie")
    stage.run(3.0)
    assert backends(stage) == ["alpha", "beta", "charlie"]
    stage.command("switch", name="alpha", service="xmpp")
    stage.run(3.0)
    assert stage.backend_of(alice) == "alpha" and not alice.ended


def test_a_hundred_reloads_leave_nothing_behind_and_nobody_notices() -> None:
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    for number in range(100):
        names = [("alpha", "beta"), ("beta", "charlie"), ("charlie", "alpha", "beta")][number % 3]
        reload(stage, *names, limits=LimitsConfig(max_chats=100 + number))
        alice.say(bob.jid, str(number))
        stage.run(0.25)
    stage.run(3.0)
    assert bob.said() == [str(number) for number in range(100)]
    shared = stage.node.chat.shared  # type: ignore[union-attr]
    assert set(shared.lines) == {"alpha", "beta"} and not shared.former
    assert set(shared.sessions.by_backend) == {"alpha", "beta", None}
    assert len(shared.legs) <= 2 + 2 * 2  # two clients, each at one server and in reserve at another
