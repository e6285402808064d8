"""RFC 3261 section 17.2.2 and RFC 4320 on virtual time."""

import pytest

from haproxy_voip.sip.non_invite_server import NonInviteServer, State
from haproxy_voip.sip.timers import Action, Timing


def trying(reliable: bool = False) -> NonInviteServer:
    machine = NonInviteServer(reliable, Timing())
    assert machine.start(0.0) == (Action.DELIVER,)
    return machine


def test_repeated_request_is_absorbed_until_answered() -> None:
    """17.2.2: in Trying retransmissions are discarded."""
    assert trying().repeated(0.5) == ()


@pytest.mark.parametrize("status", [200, 302, 404, 500, 603])
def test_repeated_request_gets_the_answer_again_for_64_t1(status: int) -> None:
    """17.2.2: timer J."""
    machine = trying()
    assert machine.respond(status, 1.0) == (Action.SEND,)
    assert machine.repeated(32.0) == (Action.SEND,)
    assert machine.deadline == 33.0
    assert machine.wake(33.0) == ()
    assert machine.state is State.TERMINATED


def test_answer_over_a_stream_ends_the_transaction_at_once() -> None:
    machine = trying(reliable=True)
    assert machine.respond(200, 1.0) == (Action.SEND,)
    assert machine.state is State.TERMINATED


def test_a_second_final_answer_is_dropped() -> None:
    machine = trying()
    machine.respond(200, 1.0)
    assert machine.respond(500, 1.1) == ()


@pytest.mark.parametrize("reliable", [False, True])
def test_408_is_never_sent(reliable: bool) -> None:
    """RFC 4320 4.2; the request's repeats are absorbed until the client has given up."""
    machine = trying(reliable)
    assert machine.respond(408, 31.0) == ()
    assert machine.repeated(31.5) == ()
    machine.wake(32.0)
    assert machine.state is State.TERMINATED


@pytest.mark.parametrize("reliable", [False, True])
def test_a_slow_request_gets_100_when_timer_e_has_reached_t2(reliable: bool) -> None:
    """RFC 4320 4.1: "Without regard to transport"."""
    machine = trying(reliable)
    assert machine.deadline == 3.5
    assert machine.wake(3.5) == (Action.TRYING,)
    assert machine.state is State.PROCEEDING
    assert machine.repeated(7.5) == (Action.SEND,)


def test_100_is_not_sent_early_over_udp() -> None:
    """RFC 4320 4.1: it would only slow the client's retransmissions down when they matter most."""
    machine = trying()
    assert machine.respond(100, 0.1) == ()
    machine.wake(3.5)
    assert machine.respond(100, 3.6) == (Action.SEND,)


def test_100_may_be_sent_at_any_time_over_a_stream() -> None:
    """RFC 4320 4.1."""
    assert trying(reliable=True).respond(100, 0.1) == (Action.SEND,)


@pytest.mark.parametrize("status", [180, 183, 199])
def test_no_provisional_but_100_is_sent(status: int) -> None:
    """RFC 4320 4.1."""
    machine = trying(reliable=True)
    assert machine.respond(status, 5.0) == ()


def test_no_late_answer_is_sent() -> None:
    """RFC 4320 4.2: the client gave up at 64*T1."""
    machine = trying()
    machine.wake(3.5)
    assert machine.deadline == 32.0
    machine.wake(32.0)
    assert machine.respond(200, 32.1) == ()
    assert machine.repeated(32.1) == ()


def test_a_late_wake_ends_the_transaction_without_a_100() -> None:
    machine = trying()
    assert machine.wake(40.0) == ()
    assert machine.state is State.TERMINATED
