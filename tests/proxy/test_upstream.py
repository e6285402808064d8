"""Which backend holds which registration, through failovers, switches and restarts."""

from __future__ import annotations

from itertools import pairwise

from haproxy_voip.core.address import Address, Flow, Transport
from haproxy_voip.core.events import Datagram
from haproxy_voip.proxy.events import CanaryClosed
from haproxy_voip.proxy.facts import BackendRestarted
from tests.proxy.servers import Servers, register, unregister
from tests.proxy.stage import DOMAIN, PROXY, Peer

MANY = tuple(str(number) for number in range(2000, 3000))
SOME = MANY[:300]


def crowd(stage: Servers, users: tuple[str, ...]) -> list[Peer]:
    """Many phones, in one house."""
    peers = []
    for number, user in enumerate(users):
        address = Address("127.1.0.1", 6000 + number)
        peer = stage.peers[address] = Peer(stage, Flow(Transport.UDP, PROXY, address), user)
        peer.request("REGISTER", f"sip:{DOMAIN}", to=f"<sip:{user}@{DOMAIN}>", expires="3600")
        peers.append(peer)
    stage.pass_time(2)
    return peers


def test_a_backend_that_comes_up_later_gets_everything() -> None:
    stage = Servers()
    stage.kill("beta")
    register(stage.client("1001"))
    register(stage.client("1002"))
    stage.pass_time(0.1)
    assert not stage.server("beta").contacts
    stage.revive("beta")
    assert len(stage.server("beta").contacts) == 2
    stage.assert_nothing_left()


def test_a_contact_that_went_while_a_backend_was_down_is_taken_back_when_it_returns() -> None:
    stage = Servers()
    alice = stage.client("1001")
    register(alice)
    stage.pass_time(0.1)
    stage.kill("beta")
    unregister(alice)
    stage.pass_time(0.1)
    assert stage.server("beta").contacts and not stage.server("alpha").contacts
    stage.revive("beta")
    assert not stage.server("beta").contacts
    stage.assert_nothing_left()


def test_in_active_mode_only_the_active_backend_holds_them() -> None:
    stage = Servers(registration="active")
    register(stage.client("1001"))
    stage.pass_time(0.1)
    assert stage.server("alpha").contacts
    assert not stage.server("beta").asked
    stage.command("switch", name="beta")
    stage.pass_time(0.1)
    assert stage.server("beta").contacts
    assert not stage.server("alpha").contacts
    stage.command("switch", name="alpha")
    stage.command("switch", name="beta")
    stage.command("switch", name="alpha")
    stage.pass_time(0.1)
    assert stage.server("alpha").contacts
    assert not stage.server("beta").contacts
    stage.assert_nothing_left()


def test_what_a_returned_backend_still_holds_is_taken_back_in_active_mode() -> None:
    stage = Servers(registration="active")
    register(stage.client("1001"))
    stage.pass_time(0.1)
    stage.kill("alpha")
    stage.pass_time(0.1)
    assert stage.server("beta").contacts
    assert stage.server("alpha").contacts  # in its database
    stage.revive("alpha")
    assert not stage.server("alpha").contacts
    assert stage.server("beta").contacts
    stage.assert_nothing_left()


def test_maintenance_takes_registrations_away_and_ready_brings_them_back() -> None:
    for mode in ("mirror", "active"):
        stage = Servers(registration=mode)
        register(stage.client("1001"))
        stage.pass_time(0.1)
        stage.command("maint", name="alpha")
        stage.pass_time(0.1)
        assert not stage.server("alpha").contacts
        assert stage.server("beta").contacts
        stage.command("ready", name="alpha")
        stage.pass_time(0.1)
        assert bool(stage.server("alpha").contacts) is (mode == "mirror")
        stage.assert_nothing_left()


def test_drain_leaves_mirrored_registrations_where_they_are() -> None:
    stage = Servers()
    register(stage.client("1001"))
    stage.pass_time(0.1)
    stage.command("drain", name="alpha")
    stage.pass_time(0.1)
    assert stage.server("alpha").contacts and stage.server("beta").contacts


def test_a_thousand_registrations_move_at_the_pace_the_next_backend_takes() -> None:
    stage = Servers(registration="active", users=MANY)
    crowd(stage, MANY)
    assert len(stage.server("alpha").contacts) == 1000
    beta = stage.server("beta")
    beta.capacity = 200
    stage.node._upstream.active("2500", stage.now)
    stage.kill("alpha")
    token = stage.token_of("2500")
    assert beta.asked[0][1].contacts[0].uri.user == token, "who was active last comes first"
    begun = stage.now
    while len(beta.contacts) < 1000 and stage.now < begun + 20:
        stage.pass_time(0.25)
    assert len(beta.contacts) == 1000
    assert stage.now - begun < 1000 / 200 + 2
    assert beta.statuses.count(503) < 400
    stage.assert_nothing_left(registered=True)


def test_retry_after_is_kept_by_everybody() -> None:
    stage = Servers(registration="active", users=SOME)
    crowd(stage, SOME)
    beta = stage.server("beta")
    beta.capacity, beta.retry_after = 80, "3"
    stage.kill("alpha")
    stage.pass_time(30)
    assert len(beta.contacts) == 300
    times = [at for at, _ in beta.asked]
    pauses = [later - earlier for earlier, later in pairwise(times) if later - earlier > 1]
    assert pauses and all(pause >= 2.99 for pause in pauses)


def test_a_call_waits_for_its_callees_registration_which_then_comes_first() -> None:
    stage = Servers(registration="active", users=(*SOME, "1001"))
    peers = crowd(stage, SOME)
    alice = stage.phone("1001")
    stage.pass_time(0.1)
    stage.server("beta").capacity = 50
    stage.kill("alpha")
    callee = peers[200]
    binding = stage.node.bindings.of(callee.user)[0]
    assert binding.key not in stage.server("beta").contacts
    alice.request("INVITE", f"sip:{callee.user}@{DOMAIN}", body=alice.offer())
    assert not [message for message in stage.beta.inbox if getattr(message, "method", "") == "INVITE"]
    stage.pass_time(1.1)
    stage.beta.take("INVITE")
    assert binding.key in stage.server("beta").contacts


def test_a_call_that_a_failover_moves_waits_as_well() -> None:
    stage = Servers(registration="active")
    alice, _ = stage.phone("1001"), stage.phone("1002")
    stage.pass_time(0.1)
    alice.request("INVITE", f"sip:1002@{DOMAIN}", body=alice.offer())
    stage.alpha.take("INVITE")
    stage.delay = 0.2
    stage.kill("alpha")
    assert not [message for message in stage.beta.inbox if getattr(message, "method", "") == "INVITE"]
    stage.pass_time(0.3)
    stage.beta.take("INVITE")
    assert stage.token_of("1002") in stage.server("beta").contacts


def test_a_call_that_waits_at_a_backend_that_dies_goes_to_the_next_and_waits_there() -> None:
    stage = Servers(registration="active")
    alice, _ = stage.phone("1001"), stage.phone("1002")
    stage.pass_time(0.1)
    stage.server("beta").silent = True
    stage.kill("alpha")
    alice.request("INVITE", f"sip:1002@{DOMAIN}", body=alice.offer())
    stage.kill("beta")
    stage.pass_time(0.1)
    stage.charlie.take("INVITE")
    assert stage.token_of("1002") in stage.server("charlie").contacts


def test_a_call_does_not_wait_for_ever() -> None:
    stage = Servers(registration="active")
    alice, _ = stage.phone("1001"), stage.phone("1002")
    stage.pass_time(0.1)
    stage.server("beta").silent = True
    stage.kill("alpha")
    alice.request("INVITE", f"sip:1002@{DOMAIN}", body=alice.offer())
    stage.pass_time(5.1)
    stage.beta.take("INVITE")


def test_a_backend_restarted_too_fast_to_be_missed_is_told_everything_again() -> None:
    stage = Servers()
    register(stage.client("1001"))
    stage.pass_time(17)
    stage.server("alpha").restart()
    stage.feed(CanaryClosed("alpha", "reset"))
    stage.pass_time(1)
    assert any(isinstance(fact, BackendRestarted) for fact in stage.facts)
    assert stage.server("alpha").contacts
    asked = len(stage.server("alpha").asked)
    for _ in range(3):  # it closes what is idle: no news
        stage.pass_time(30)
        stage.feed(CanaryClosed("alpha", "closed"))
        stage.pass_time(1)
    assert len([fact for fact in stage.facts if isinstance(fact, BackendRestarted)]) <= 2
    assert len(stage.server("alpha").asked) <= asked + 1
    stage.assert_nothing_left()


def test_counts_tell_how_many_are_there_and_how_many_are_missing() -> None:
    stage = Servers()
    stage.server("beta").silent = True
    register(stage.client("1001"))
    stage.pass_time(0.1)
    assert stage.node._upstream.counts("alpha") == (1, 0)
    assert stage.node._upstream.counts("beta") == (0, 1)


def test_late_answers_of_a_backend_that_was_given_up_change_nothing() -> None:
    stage = Servers()
    stage.server("alpha").silent = True
    register(stage.client("1001"))
    stage.pass_time(0.1)
    request = stage.server("alpha").asked[0][1]
    stage.kill("alpha")
    stage.dead.clear()
    stage.server("alpha").silent = False
    late = stage.server("alpha").register(request, stage.now)
    assert late is not None
    stage.feed(Datagram(late.encode(), stage.alpha.flow))
    assert stage.node._upstream.counts("alpha") == (0, 0)


def test_a_backend_that_takes_a_call_the_active_one_refused_is_lent_the_callees_registration() -> None:
    stage = Servers(registration="active")
    alice, _ = stage.phone("1001"), stage.phone("1002")
    stage.pass_time(0.1)
    alice.request("INVITE", f"sip:1002@{DOMAIN}", body=alice.offer())
    stage.alpha.answer(stage.alpha.take_request("INVITE"), 503)
    assert not [message for message in stage.beta.inbox if getattr(message, "method", "") == "INVITE"]
    stage.pass_time(0.1)
    at_beta = stage.beta.take_request("INVITE")
    assert list(stage.server("beta").contacts) == [stage.token_of("1002")]
    stage.beta.answer(at_beta, 486)
    alice.take(486)
    stage.pass_time(301)
    assert not stage.server("beta").contacts
    assert len(stage.server("alpha").contacts) == 2
    stage.assert_nothing_left()


def test_a_loan_ends_with_the_contact_and_is_kept_by_a_backend_that_becomes_active() -> None:
    stage = Servers(registration="active")
    alice, bob = stage.phone("1001"), stage.phone("1002")
    stage.pass_time(0.1)
    alice.request("INVITE", f"sip:1002@{DOMAIN}", body=alice.offer())
    stage.alpha.answer(stage.alpha.take_request("INVITE"), 503)
    stage.pass_time(0.1)
    stage.beta.answer(stage.beta.take_request("INVITE"), 486)
    stage.command("switch", name="beta")
    stage.pass_time(301)
    assert len(stage.server("beta").contacts) == 2
    bob.count = 100
    unregister(bob)
    stage.pass_time(0.1)
    assert len(stage.server("beta").contacts) == 1
    stage.assert_nothing_left()
