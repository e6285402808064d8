"""Commands and their answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from haproxy_voip.proxy import admin
from haproxy_voip.proxy.effects import ReloadUsers
from haproxy_voip.proxy.events import Command
from tests.proxy.servers import Servers, register
from tests.proxy.test_calls import talking


def backends(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in answer["backends"]}


def test_status_is_plain_data_and_has_the_documented_fields() -> None:
    stage = Servers()
    talking(stage)
    register(stage.client("1002"), contact="<sip:1002@10.0.0.9>")
    stage.pass_time(0.1)
    stage.kill("charlie")
    status: dict[str, Any] = stage.command("status")
    assert json.loads(json.dumps(status)) == status
    assert status["active"] == "alpha"
    assert (status["users_registered"], status["contacts"], status["contacts_behind_nat"]) == (2, 2, 1)
    assert (status["calls"], status["subscriptions"], status["dialogs"]) == (1, 0, 2)
    alpha = backends(status)["alpha"]
    assert (alpha["health"], alpha["admin"], alpha["active"], alpha["calls"]) == ("up", "ready", True, 1)
    assert (alpha["registrations"], alpha["registrations_missing"]) == (2, 0)
    assert alpha["sip"] == "udp:127.0.0.11:5060"
    assert status["failovers"][0]["backend"] == "charlie"
    assert status["failovers"][0]["age_seconds"] < 0.1
    documented = admin.__doc__ or ""
    for key in [*status, *alpha, *status["failovers"][0]]:
        assert key in documented, f"{key} is not documented"


def test_states_are_set_and_shown() -> None:
    stage = Servers()
    assert stage.command("drain", name="alpha")["active"] == "beta"
    assert backends(stage.command("status"))["alpha"]["admin"] == "drain"
    assert stage.command("ready", name="alpha")["active"] == "beta"
    assert stage.command("switch", name="alpha")["active"] == "alpha"
    assert backends(stage.command("maint", name="beta"))["beta"]["admin"] == "maint"


@pytest.mark.parametrize(
    ("command", "arguments", "said"),
    [
        ("drain", {"name": "delta"}, "there is no backend delta; there are alpha, beta, charlie"),
        ("maint", {}, "maint needs the name of a backend; there are alpha, beta, charlie"),
        ("switch", {"name": "charlie"}, "charlie is in drain; make it ready first"),
        ("switch", {"name": "beta"}, "beta is down; only a backend that is up can be active"),
        ("dance", {}, "unknown command 'dance'; known are status, drain, maint, ready, switch, reload, users-reload"),
    ],
)
def test_what_cannot_be_done_is_explained(command: str, arguments: dict[str, str], said: str) -> None:
    stage = Servers()
    stage.command("drain", name="charlie")
    stage.kill("beta")
    assert stage.command(command, **arguments) == {"error": said}


def test_a_service_it_does_not_have_cannot_be_drained() -> None:
    stage = Servers()
    said = "alpha has no service xmpp; there are sip and xmpp"
    assert stage.command("drain", name="alpha", service="xmpp") == {"error": said}
    assert stage.command("drain", name="alpha", service="sip")["active"] == "beta"


def test_reading_the_users_again_is_the_edges_work() -> None:
    stage = Servers()
    stage.feed(Command(7, "users-reload"))
    assert ReloadUsers(7) in stage.facts
