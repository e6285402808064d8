"""RFC 3261 section 17.1.1 and RFC 6026 on virtual time."""

import pytest

from haproxy_voip.sip.invite_client import InviteClient, State
from haproxy_voip.sip.timers import Action, Actions, Timing


def calling(reliable: bool = False) -> InviteClient:
    machine = InviteClient(reliable, Timing())
    assert machine.start(0.0) == (Action.SEND,)
    return machine


def play(machine: InviteClient, until: float) -> list[tuple[float, Actions]]:
    history = []
    while machine.deadline is not None and machine.deadline <= until:
        now = machine.deadline
        history.append((now, machine.wake(now)))
    return history


def test_udp_invite_is_sent_seven_times_then_times_out() -> None:
    """17.1.1.2: T1 doubling without a ceiling, seven transmissions, timer B at 64*T1."""
    history = play(calling(), until=60)
    assert [t for t, actions in history if Action.SEND in actions] == [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert history[-1] == (32.0, (Action.TIMED_OUT,))


def test_invite_over_a_stream_is_sent_once() -> None:
    """17.1.1.2: "If an unreliable transport is being used, the client transaction MUST start timer A"."""
    assert play(calling(reliable=True), until=60) == [(32.0, (Action.TIMED_OUT,))]


def test_a_late_wake_sends_once_not_once_for_each_missed_interval() -> None:
    machine = calling()
    assert machine.wake(20.0) == (Action.SEND,)
    assert machine.wake(20.0) == ()


def test_a_wake_after_timer_b_does_not_send_again() -> None:
    machine = calling()
    assert machine.wake(40.0) == (Action.TIMED_OUT,)
    assert machine.state is State.TERMINATED
    assert machine.deadline is None


def test_provisional_stops_retransmission_and_ringing_is_not_limited() -> None:
    """17.1.1.2: in Proceeding the INVITE is not retransmitted, and timer B is no more."""
    machine = calling()
    assert machine.receive(100, 0.1) == (Action.DELIVER,)
    assert machine.deadline is None


def test_every_provisional_is_delivered() -> None:
    """17.1.1.2: "Any further provisional responses MUST be passed up to the TU while in the "Proceeding" state"."""
    machine = calling()
    assert [machine.receive(status, 1.0) for status in (100, 180, 180, 183)] == [(Action.DELIVER,)] * 4


@pytest.mark.parametrize("status", [300, 401, 486, 503, 603])
def test_repeated_failure_is_acked_again_but_not_delivered_again(status: int) -> None:
    """17.1.1.2."""
    machine = calling()
    assert machine.receive(status, 0.2) == (Action.ACK, Action.DELIVER)
    assert machine.receive(status, 0.7) == (Action.ACK,)
    assert machine.deadline == 0.2 + 32
    assert machine.wake(32.2) == ()
    assert machine.state is State.TERMINATED


def test_failure_over_a_stream_ends_the_transaction_at_once() -> None:
    """17.1.1.2: timer D is zero for reliable transports."""
    machine = calling(reliable=True)
    assert machine.receive(486, 0.2) == (Action.ACK, Action.DELIVER)
    assert machine.state is State.TERMINATED


@pytest.mark.parametrize("reliable", [False, True])
def test_every_2xx_reaches_the_user_for_64_t1(reliable: bool) -> None:
    """RFC 6026 8.4: forked and repeated 2xx are the user's to ACK, over any transport."""
    machine = calling(reliable)
    machine.receive(180, 0.5)
    assert machine.receive(200, 1.0) == (Action.DELIVER,)
    assert machine.receive(200, 1.5) == (Action.DELIVER,)
    assert machine.receive(202, 32.9) == (Action.DELIVER,)
    assert machine.wake(33.0) == ()
    assert machine.state is State.TERMINATED


def test_only_2xx_are_taken_once_accepted() -> None:
    """RFC 6026 8.4."""
    machine = calling()
    machine.receive(200, 1.0)
    assert machine.receive(180, 1.1) == ()
    assert machine.receive(486, 1.1) == ()
    assert machine.state is State.ACCEPTED


def test_provisional_and_2xx_after_a_failure_are_dropped() -> None:
    machine = calling()
    machine.receive(486, 1.0)
    assert machine.receive(180, 1.1) == ()
    assert machine.receive(200, 1.1) == ()


def test_cancelled_invite_is_given_up_64_t1_after_the_cancel() -> None:
    """9.1: the server may be an RFC 2543 one that never sends 487."""
    machine = calling()
    machine.receive(180, 1.0)
    assert machine.cancelled(5.0) == ()
    machine.receive(183, 6.0)
    assert play(machine, until=60) == [(37.0, (Action.TIMED_OUT,))]


def test_cancelled_invite_may_still_be_answered() -> None:
    """9.1: CANCEL has no effect on an INVITE that was answered meanwhile."""
    machine = calling()
    machine.receive(180, 1.0)
    machine.cancelled(5.0)
    assert machine.receive(200, 5.1) == (Action.DELIVER,)
    assert machine.deadline == 5.1 + 32


def test_transport_failure_is_told_until_there_is_an_answer() -> None:
    """17.1.4; after an answer there is nobody to tell (RFC 6026 8.4)."""
    machine = calling(reliable=True)
    machine.receive(180, 1.0)
    assert machine.transport_failed() == (Action.TRANSPORT_FAILED,)
    assert machine.state is State.TERMINATED
    answered = calling()
    answered.receive(200, 1.0)
    assert answered.transport_failed() == ()
    assert answered.state is State.ACCEPTED


def test_nothing_comes_from_a_terminated_transaction() -> None:
    machine = calling()
    machine.wake(32.0)
    assert machine.receive(200, 33.0) == ()
    assert machine.wake(99.0) == ()
