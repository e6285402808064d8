"""Everybody leaves a server that is well together, when it has everything that any of them said."""

from __future__ import annotations

import pytest

from haproxy_voip.proxy.chat.phases import Phase
from haproxy_voip.proxy.chat.residence import HANDOVER_SECONDS, Residence
from haproxy_voip.proxy.facts import SessionFailed
from haproxy_voip.proxy.shared import Output
from tests.proxy.chat.server import DOMAIN
from tests.proxy.chat.stage import Client, Stage, config

CARBONS = "<enable xmlns='urn:xmpp:carbons:2'/>"


def underway() -> tuple[Stage, Client, Client, Client]:
    """Bob has said something to one of alice's clients, alpha has yet to read it, and everybody is to go to beta."""
    stage = Stage(config("warm"))
    home, work, bob = stage.client("alice"), stage.client("alice", "work"), stage.client("bob")
    work.ask(CARBONS, kind="set")
    stage.run(1.0)
    work.take()
    stage.alpha.frozen = True
    bob.say(home.jid, "on the way")
    stage.command("switch", name="beta", service="xmpp")
    return stage, home, work, bob


def test_nobody_leaves_before_the_others_words_have_arrived() -> None:
    stage, home, work, bob = underway()
    assert {stage.session(one).residence.phase for one in (home, work, bob)} == {Phase.HANDOVER}
    stage.alpha.thaw(stage.now)
    stage.run(0.5)
    assert {stage.backend_of(one) for one in (home, work, bob)} == {"beta"}
    assert home.said() == work.said() == ["on the way"]
    assert [one for one in stage.beta.handled if one.name == "message"] == []  # alpha delivered it, and the copy


def test_nobody_waits_for_long() -> None:
    stage, home, work, bob = underway()
    stage.run(HANDOVER_SECONDS + 0.5)
    assert {stage.backend_of(one) for one in (home, work, bob)} == {"beta"}
    assert home.said() == work.said() == ["on the way"]


def test_a_mistake_in_one_keeps_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    stage, home, work, bob = underway()
    his, hand_over = stage.session(bob).residence, Residence.hand_over

    def wrong(residence: Residence, now: float) -> list[Output]:
        if residence is his:
            raise ValueError("a mistake of ours")
        return hand_over(residence, now)

    monkeypatch.setattr(Residence, "hand_over", wrong)
    stage.chat.shared.handover.ready(stage.session(bob), "alpha")
    outputs = stage.chat.shared.failovers.hand_over(stage.now)
    [failed] = [output for output in outputs if isinstance(output, SessionFailed)]
    assert "a mistake of ours" in failed.error
    assert {stage.session(one).residence.backend for one in (home, work)} == {"beta"}


def test_who_ends_meanwhile_is_not_waited_for() -> None:
    stage, home, work, bob = underway()
    bob.send("</stream:stream>")
    home.say(f"alice@{DOMAIN}/work", "and?")
    stage.run(HANDOVER_SECONDS + 0.5)
    assert {stage.backend_of(one) for one in (home, work)} == {"beta"} and "and?" in work.said()
    assert stage.chat.shared.handover.take() == []
