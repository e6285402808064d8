"""Where a session lives: freezes, shutdowns, planned moves, interruptions, nobody left."""

from __future__ import annotations

import pytest

from haproxy_voip.core.events import StreamClosed
from haproxy_voip.proxy.chat.phases import Phase
from haproxy_voip.proxy.chat_facts import ChatLoginRefused
from tests.proxy.chat.server import DOMAIN
from tests.proxy.chat.stage import Stage, config

STANDBY = pytest.mark.parametrize("standby", ["available", "hot", "warm", "cold"])


@STANDBY
def test_a_frozen_server_is_left_within_a_few_probes(standby: str) -> None:
    stage = Stage(config(standby))
    alice, bob = stage.client("alice"), stage.client("bob")
    stage.run(1.0)
    stage.freeze("alpha")
    alice.say(bob.jid, "into the ice")
    stage.run(0.3)
    assert bob.said() == ["into the ice"]
    assert stage.backend_of(alice) == "beta"


def test_what_a_frozen_server_delivers_when_it_is_back_is_not_seen_twice() -> None:
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    stage.run(1.0)
    stage.freeze("alpha")
    alice.say(bob.jid, "once")
    stage.run(1.0)
    stage.thaw("alpha")
    stage.run(5.0)
    assert bob.said() == ["once"]
    assert "once" in str(stage.alpha.handled)  # it did handle it
    assert stage.alpha.offline == {}


def test_what_only_the_frozen_server_had_is_delivered_when_it_is_back() -> None:
    """The old session is resumed there, as a reserve."""
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    dave = stage.stranger(stage.alpha, "dave")
    stage.run(1.0)
    link = stage.alpha.sessions[bob.jid].link
    assert link is not None
    link.mute = True
    stage.alpha.sessions[bob.jid].send(
        f"<message from='{dave.jid}' id='d1'><body>from the ice</body></message>".encode()
    )
    stage.freeze("alpha")
    stage.run(1.0)
    stage.thaw("alpha")
    assert stage.backend_of(bob) == "beta"
    assert bob.said() == ["from the ice"]
    assert alice.said() == []
    assert stage.session(bob).residence.reserve.leg is not None


def test_a_server_that_shuts_down_is_left_at_its_first_word() -> None:
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    stage.run(1.0)
    stage.shut_down("alpha")
    alice.say(bob.jid, "on we go")
    assert bob.said() == ["on we go"]
    assert stage.backend_of(alice) == "beta"


@STANDBY
def test_a_switch_moves_everybody_without_losing_or_doubling_a_word(standby: str) -> None:
    stage = Stage(config(standby))
    alice, bob = stage.client("alice"), stage.client("bob")
    stage.run(1.0)
    for number in range(60):
        alice.say(bob.jid, str(number))
        bob.say(alice.jid, str(number))
        if number == 20:
            stage.node.chat.shared.failovers.carry_out([], stage.now)  # type: ignore[union-attr]
            stage.carry_out(
                stage.chat.shared.failovers.carry_out(stage.chat.shared.backends.switch("beta", stage.now), stage.now)
            )
        stage.run(0.01)
    assert bob.said() == alice.said() == [str(number) for number in range(60)]
    assert stage.backend_of(alice) == stage.backend_of(bob) == "beta"
    stage.run(10.0)
    assert [one for one in (*alice.inbox, *bob.inbox) if one.name == "presence"] == []
    assert stage.alpha.sessions.keys() == (stage.beta.sessions.keys() if standby in ("available", "hot") else set())


def test_without_any_server_clients_stay_and_their_words_wait() -> None:
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    for name in ("beta", "charlie", "alpha"):
        stage.kill(name)
    stage.run(1.0)
    assert stage.session(alice).residence.phase is Phase.STRANDED
    alice.say(bob.jid, "anybody there?")
    stage.run(60.0)
    assert not alice.ended and bob.said() == []
    stage.revive("charlie")
    assert bob.said() == ["anybody there?"]
    assert b"<delay" in bob.take("message")[0].raw  # it took a minute, and says so
    stage.run(10.0)
    assert bob.inbox == [] and alice.inbox == []


def test_without_any_server_too_many_words_come_back_as_errors() -> None:
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    for name in ("beta", "charlie", "alpha"):
        stage.kill(name)
    for number in range(510):
        alice.say(bob.jid, str(number))
    errors = alice.take("message")
    assert [one.id for one in errors] == [f"alice-{number}" for number in range(501, 511)]
    assert all(one.type == "error" and b"resource-constraint" in one.raw for one in errors)
    stage.revive("alpha")
    assert bob.said() == [str(number) for number in range(500)]


def test_without_any_server_a_login_is_a_temporary_failure() -> None:
    """Clients forget a password that is called wrong."""
    stage = Stage()
    for name in ("beta", "charlie", "alpha"):
        stage.kill(name)
    stage.run(1.0)
    alice = stage.connect("alice")
    assert alice.failed is not None and alice.failed.condition == "temporary-auth-failure"


def test_a_connection_lost_at_a_healthy_server_is_resumed_there() -> None:
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    stage.run(1.0)
    leg = stage.session(alice).residence.active
    assert leg is not None
    server, link = stage.links.pop(leg.flow.connection)
    server.lost(link, stage.now)
    stage.feed(StreamClosed(leg.flow, "connection reset"))
    alice.say(bob.jid, "hick")
    bob.say(alice.jid, "up")
    stage.run(1.0)
    assert stage.backend_of(alice) == "alpha"
    assert bob.said() == ["hick"] and alice.said() == ["up"]
    assert [one for one in alice.inbox + bob.inbox if one.name == "presence"] == []


def test_who_logs_in_with_the_same_resource_directly_at_the_server_takes_it() -> None:
    stage = Stage()
    alice = stage.client("alice")
    link = stage.alpha.sessions[alice.jid].link
    assert link is not None
    link.write(b"<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>")
    link.close()
    stage.run(1.0)
    assert alice.ended and alice.error is not None and alice.error.condition == "conflict"


def test_a_password_that_is_not_right_at_the_next_server_ends_the_session_there() -> None:
    stage = Stage(config("cold"))
    alice = stage.client("alice")
    stage.beta.passwords = stage.servers["charlie"].passwords = stage.passwords | {"alice": "another"}
    stage.kill("alpha")
    stage.run(1.0)
    assert alice.error is not None and alice.error.condition == "not-authorized"
    assert [fact.backend for fact in stage.facts if isinstance(fact, ChatLoginRefused)] == ["beta"]


def test_a_resource_that_a_ghost_still_holds_is_asked_for_again() -> None:
    """Servers may refuse the newer session, RFC 6120 section 7.7.2.2."""
    stage = Stage(config("cold"))
    alice = stage.client("alice")
    refused = {"times": 2}

    def bind(link: object, resource: str | None, now: float, then: object = stage.beta.bind) -> None:
        if refused["times"]:
            refused["times"] -= 1
            from haproxy_voip.xmpp.errors import StanzaCondition, StanzaError

            error = StanzaError(StanzaCondition.CONFLICT)
            stage.beta.perform(link, link.stream.bind_refused(error), now)  # type: ignore[arg-type, attr-defined]
        else:
            then(link, resource, now)  # type: ignore[operator]

    stage.beta.bind = bind  # type: ignore[assignment, method-assign]
    stage.kill("alpha")
    stage.run(5.0)
    assert not alice.ended and stage.backend_of(alice) == "beta"
    assert stage.session(alice).residence.phase is Phase.SETTLED


def test_a_server_that_is_back_becomes_the_reserve_and_gets_nobody_back_by_itself() -> None:
    stage = Stage()
    alice = stage.client("alice")
    stage.run(1.0)
    stage.kill("alpha")
    stage.run(1.0)
    stage.revive("alpha")
    assert stage.backend_of(alice) == "beta"
    assert list(stage.alpha.sessions) == [alice.jid]
    assert stage.alpha.sessions[alice.jid].presence is None  # unseen


def test_what_reaches_the_client_over_its_reserve_is_passed_on() -> None:
    stage = Stage()
    alice = stage.client("alice")
    stage.run(1.0)
    message = f"<message from='dave@{DOMAIN}/x' id='1'><body>over there</body></message>"
    stage.beta.sessions[alice.jid].send(message.encode())
    stage.beta.sessions[alice.jid].send(
        f"<iq type='get' id='p' from='{DOMAIN}'><ping xmlns='urn:xmpp:ping'/></iq>".encode()
    )
    stage.settle()
    assert alice.said() == ["over there"]
    assert [(one.id, one.type) for one in stage.beta.handled if one.name == "iq"] == [("p", "result")]
