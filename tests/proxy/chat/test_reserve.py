"""What is kept ready at the next server."""

from __future__ import annotations

import pytest

from haproxy_voip.proxy.chat.reserve import RENEW_SECONDS, RETRY_FIRST
from tests.proxy.chat.stage import Stage, config


@pytest.mark.parametrize(("standby", "links", "bound"), [("hot", 1, True), ("warm", 1, False), ("cold", 0, False)])
def test_what_is_configured_is_ready(standby: str, links: int, bound: bool) -> None:
    stage = Stage(config(standby))
    alice = stage.client("alice")
    stage.run(1.0)
    assert len(stage.beta.links) == links
    assert (alice.jid in stage.beta.sessions) is bound
    assert stage.beta.handled == []  # nobody sees it


def test_it_follows_the_backend_that_would_be_next() -> None:
    stage = Stage()
    alice = stage.client("alice")
    stage.run(1.0)
    stage.kill("beta")
    stage.run(1.0)
    assert list(stage.servers["charlie"].sessions) == [alice.jid]
    stage.revive("beta")
    assert list(stage.beta.sessions) == [alice.jid] and stage.servers["charlie"].sessions == {}


def test_one_that_cannot_be_had_is_tried_again_later_and_harms_nobody() -> None:
    stage = Stage()
    stage.beta.passwords = {}
    alice = stage.client("alice")
    stage.run(RETRY_FIRST / 2)
    assert not stage.beta.links and not alice.ended
    stage.beta.passwords = stage.passwords
    stage.run(RETRY_FIRST)
    assert list(stage.beta.sessions) == [alice.jid]


def test_one_that_is_lost_is_made_anew() -> None:
    stage = Stage()
    alice = stage.client("alice")
    stage.run(1.0)
    link = stage.beta.sessions[alice.jid].link
    assert link is not None
    link.close()
    stage.beta.lost(link, stage.now)
    stage.run(RETRY_FIRST + 1.0)
    assert stage.beta.sessions[alice.jid].link is not None


def test_a_server_that_names_the_session_otherwise_is_of_no_use() -> None:
    stage = Stage()
    bind = stage.beta.bind
    stage.beta.bind = lambda link, resource, now: bind(link, "another", now)  # type: ignore[method-assign]
    alice = stage.client("alice")
    stage.run(1.0)
    assert stage.session(alice).residence.reserve.leg is None
    assert stage.beta.sessions == {}


@pytest.mark.parametrize("standby", ["available", "hot", "warm"])
def test_one_that_knows_an_old_roster_is_made_anew(standby: str) -> None:
    """Prosody reads it when the first of the account's sessions begins, so all of them have to end before."""
    stage = Stage(config(standby))
    alices = [stage.client("alice", resource) for resource in ("home", "work")]
    stage.run(1.0)
    links = list(stage.beta.links)
    for _ in range(2):
        for alice in alices:
            pushed = "<query xmlns='jabber:iq:roster'><item jid='new@x'/></query>"
            stage.alpha.sessions[alice.jid].send(f"<iq type='set' id='p' to='{alice.jid}'>{pushed}</iq>".encode())
        stage.settle()
        stage.run(RENEW_SECONDS / 2)
    assert list(stage.beta.links) == (links if standby == "warm" else [])
    stage.run(RENEW_SECONDS)
    assert len(stage.beta.links) == 2 and all(len(alice.take("iq")) == 2 for alice in alices)


def test_a_client_that_leaves_leaves_it_too() -> None:
    stage = Stage()
    alice = stage.client("alice")
    stage.run(1.0)
    alice.send("</stream:stream>")
    stage.run(1.0)
    assert stage.beta.sessions == {} and stage.chat.shared.legs == {}


def test_a_server_that_was_frozen_is_ready_again_once_it_was_asked_what_it_had() -> None:
    stage = Stage(config("warm"))
    alice = stage.client("alice")
    stage.freeze("alpha")
    stage.run(2.0)
    stage.thaw("alpha")
    stage.run(5.0)
    leg = stage.session(alice).residence.reserve.leg
    assert leg is not None and leg.backend == "alpha" and leg.authenticated
    assert alice.jid not in stage.alpha.sessions


@pytest.mark.parametrize("standby", ["warm", "cold"])
def test_nothing_is_bound_where_the_old_session_is_no_more(standby: str) -> None:
    """In a cluster that would throw out the one at the next server."""
    stage = Stage(config(standby))
    alice = stage.client("alice")
    stage.freeze("alpha")
    stage.run(2.0)
    stage.alpha.sessions.clear()
    bound = []
    stage.alpha.bind = lambda link, resource, now: bound.append(resource)  # type: ignore[method-assign,assignment]
    stage.thaw("alpha")
    stage.run(5.0)
    assert bound == [] and not alice.ended
    leg = stage.session(alice).residence.reserve.leg
    assert leg is None if standby == "cold" else leg is not None and leg.authenticated
