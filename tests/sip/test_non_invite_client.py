"""RFC 3261 section 17.1.2 on virtual time."""

import pytest

from haproxy_voip.sip.non_invite_client import NonInviteClient, State
from haproxy_voip.sip.timers import Action, Actions, Timing


def trying(reliable: bool = False) -> NonInviteClient:
    machine = NonInviteClient(reliable, Timing())
    assert machine.start(0.0) == (Action.SEND,)
    return machine


def play(machine: NonInviteClient, until: float) -> list[tuple[float, Actions]]:
    history = []
    while machine.deadline is not None and machine.deadline <= until:
        now = machine.deadline
        history.append((now, machine.wake(now)))
    return history


def test_udp_request_is_sent_eleven_times_then_times_out() -> None:
    """17.1.2.2: T1 doubling up to T2, timer F at 64*T1."""
    history = play(trying(), until=60)
    sent = [t for t, actions in history if Action.SEND in actions]
    assert sent == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert history[-1] == (32.0, (Action.TIMED_OUT,))


def test_request_over_a_stream_is_sent_once() -> None:
    assert play(trying(reliable=True), until=60) == [(32.0, (Action.TIMED_OUT,))]


def test_provisional_slows_retransmission_to_t2_but_never_stops_it() -> None:
    """17.1.2.2: in Proceeding timer E is reset to T2, and timer F still ends the wait."""
    machine = trying()
    assert machine.receive(100, 0.1) == (Action.DELIVER,)
    history = play(machine, until=60)
    assert [t for t, _ in history] == [0.5, 4.5, 8.5, 12.5, 16.5, 20.5, 24.5, 28.5, 32.0]
    assert history[-1][1] == (Action.TIMED_OUT,)


def test_repeated_provisional_is_delivered_and_extends_nothing() -> None:
    machine = trying(reliable=True)
    machine.receive(100, 1.0)
    assert machine.receive(100, 20.0) == (Action.DELIVER,)
    assert machine.deadline == 32.0


@pytest.mark.parametrize("status", [200, 302, 404, 500, 603])
def test_final_answer_is_delivered_once_and_its_repeats_absorbed_for_t4(status: int) -> None:
    """17.1.2.2: timer K."""
    machine = trying()
    assert machine.receive(status, 1.0) == (Action.DELIVER,)
    assert machine.receive(status, 1.5) == ()
    assert machine.deadline == 6.0
    assert machine.wake(6.0) == ()
    assert machine.state is State.TERMINATED


def test_final_answer_over_a_stream_ends_the_transaction_at_once() -> None:
    machine = trying(reliable=True)
    assert machine.receive(200, 1.0) == (Action.DELIVER,)
    assert machine.state is State.TERMINATED


def test_transport_failure_is_told_until_there_is_an_answer() -> None:
    """17.1.4."""
    machine = trying()
    assert machine.transport_failed() == (Action.TRANSPORT_FAILED,)
    answered = trying()
    answered.receive(200, 1.0)
    assert answered.transport_failed() == ()


def test_nothing_comes_from_a_terminated_transaction() -> None:
    machine = trying()
    machine.wake(32.0)
    assert machine.receive(200, 33.0) == ()
    assert machine.wake(99.0) == ()
