"""What operators ask of chat."""

from __future__ import annotations

import json
from typing import Any

import pytest

from haproxy_voip.proxy.chat import admin
from tests.proxy.chat.stage import Stage, config


def rows(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in answer["chat_backends"]}


def test_status_is_plain_data_and_has_the_documented_fields() -> None:
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    stage.run(1.0)
    stage.kill("alpha")
    stage.run(1.0)
    bob.break_off()
    status: dict[str, Any] = stage.command("status")
    assert json.loads(json.dumps(status)) == status
    assert (status["chat_active"], status["chat_sessions"], status["chat_clients_away"]) == ("beta", 2, 1)
    beta = rows(status)["beta"]
    assert (beta["health"], beta["active"], beta["sessions"], beta["xmpp"]) == ("up", True, 2, "tcp:127.0.0.12:5222")
    assert rows(status)["charlie"]["reserves"] == 2 and rows(status)["alpha"]["health"] == "down"
    [record] = status["chat_failovers"]
    assert (record["backend"], record["successor"], record["sessions"]) == ("alpha", "beta", 2)
    documented = admin.__doc__ or ""
    for key in [key for key in (*status, *beta, *record) if key.startswith("chat") or key in beta or key in record]:
        assert key in documented, f"{key} is not documented"
    assert not alice.ended


@pytest.mark.parametrize("command", ["drain", "maint"])
@pytest.mark.parametrize("standby", ["available", "hot", "cold"])
def test_whoever_is_to_stop_is_left_in_peace_and_nobody_notices(command: str, standby: str) -> None:
    stage = Stage(config(standby))
    alice, bob = stage.client("alice"), stage.client("bob")
    stage.run(1.0)
    alice.say(bob.jid, "before")
    answer: dict[str, Any] = stage.command(command, name="alpha")
    alice.say(bob.jid, "after")
    stage.run(10.0)
    assert answer["chat_active"] == "beta" and rows(answer)["alpha"]["admin"] == command
    assert bob.said() == ["before", "after"]
    assert stage.alpha.sessions == {} and [one for one in bob.inbox if one.name == "presence"] == []
    assert not stage.alpha.links


def test_switch_takes_everybody_along() -> None:
    stage = Stage()
    alice = stage.client("alice")
    stage.run(1.0)
    stage.command("switch", name="charlie", service="xmpp")
    stage.run(1.0)
    assert stage.backend_of(alice) == "charlie"
    assert stage.command("switch", name="charlie", service="sip") == {
        "error": "charlie has no service sip; there are sip and xmpp"
    }


def test_a_backend_that_is_ready_again_is_a_reserve_again() -> None:
    stage = Stage()
    alice = stage.client("alice")
    stage.command("maint", name="beta")
    stage.run(1.0)
    assert list(stage.servers["charlie"].sessions) == [alice.jid] and stage.beta.sessions == {}
    stage.command("ready", name="beta")
    stage.run(1.0)
    assert list(stage.beta.sessions) == [alice.jid]
