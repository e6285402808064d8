"""RFC 3261 section 17.2.1 and RFC 6026 on virtual time."""

import pytest

from haproxy_voip.sip.invite_server import InviteServer, State
from haproxy_voip.sip.timers import Action, Actions, Timing


def proceeding(reliable: bool = False) -> InviteServer:
    machine = InviteServer(reliable, Timing())
    assert machine.start(0.0) == (Action.TRYING, Action.DELIVER)
    return machine


def play(machine: InviteServer, until: float) -> list[tuple[float, Actions]]:
    history = []
    while machine.deadline is not None and machine.deadline <= until:
        now = machine.deadline
        history.append((now, machine.wake(now)))
    return history


def test_repeated_invite_gets_the_last_provisional_again() -> None:
    """17.2.1."""
    machine = proceeding()
    assert machine.repeated(0.5) == (Action.SEND,)
    assert machine.respond(180, 0.6) == (Action.SEND,)
    assert machine.repeated(1.5) == (Action.SEND,)


def test_ringing_is_not_limited_here() -> None:
    assert proceeding().deadline is None


def test_udp_failure_is_repeated_until_acked() -> None:
    """17.2.1: timer G doubles up to T2."""
    machine = proceeding()
    assert machine.respond(486, 0.0) == (Action.SEND,)
    assert [t for t, _ in play(machine, until=12)] == [0.5, 1.5, 3.5, 7.5, 11.5]
    assert machine.ack(12.0) == ()
    assert machine.state is State.CONFIRMED
    assert play(machine, until=60) == [(17.0, ())]
    assert machine.state is State.TERMINATED


def test_failure_never_acked_is_given_up_after_64_t1() -> None:
    """17.2.1: timer H."""
    machine = proceeding()
    machine.respond(486, 1.0)
    history = play(machine, until=60)
    assert history[-1] == (33.0, (Action.ACK_MISSING,))
    assert machine.state is State.TERMINATED


def test_failure_over_a_stream_is_sent_once_and_still_waits_for_its_ack() -> None:
    """17.2.1: timer G only for unreliable transports, timer H for all."""
    machine = proceeding(reliable=True)
    machine.respond(486, 0.0)
    assert machine.deadline == 32.0
    assert machine.ack(0.1) == ()
    assert machine.state is State.TERMINATED


def test_repeated_invite_gets_the_failure_again_until_acked() -> None:
    """17.2.1."""
    machine = proceeding()
    machine.respond(486, 0.0)
    assert machine.repeated(0.4) == (Action.SEND,)
    machine.ack(0.5)
    assert machine.repeated(0.6) == ()
    assert machine.ack(0.7) == ()


def test_repeated_invite_after_2xx_is_absorbed() -> None:
    """RFC 6026 7.1: a transaction deleted on 200 would take the retransmission for a new INVITE."""
    machine = proceeding()
    assert machine.respond(200, 1.0) == (Action.SEND,)
    assert machine.repeated(1.2) == ()
    assert machine.state is State.ACCEPTED
    assert machine.wake(33.0) == ()
    assert machine.state is State.TERMINATED


def test_user_repeats_its_2xx_through_the_transaction() -> None:
    """RFC 6026 7.1, RFC 3261 13.3.1.4."""
    machine = proceeding()
    machine.respond(200, 1.0)
    assert machine.respond(200, 1.5) == (Action.SEND,)


def test_ack_for_2xx_with_the_invites_branch_reaches_the_user() -> None:
    """RFC 6026 7.1."""
    machine = proceeding()
    machine.respond(200, 1.0)
    assert machine.ack(1.2) == (Action.DELIVER,)
    assert machine.state is State.ACCEPTED


@pytest.mark.parametrize("later", [100, 180, 404])
def test_nothing_but_2xx_follows_a_2xx(later: int) -> None:
    machine = proceeding()
    machine.respond(200, 1.0)
    assert machine.respond(later, 1.1) == ()


@pytest.mark.parametrize("later", [180, 200, 404])
def test_nothing_follows_a_failure(later: int) -> None:
    """17.2.1: a transaction has one final answer."""
    machine = proceeding()
    machine.respond(487, 1.0)
    assert machine.respond(later, 1.1) == ()


def test_ack_before_any_final_answer_is_ignored() -> None:
    machine = proceeding()
    assert machine.ack(0.1) == ()
    assert machine.state is State.PROCEEDING


def test_nothing_comes_from_a_terminated_transaction() -> None:
    machine = proceeding(reliable=True)
    machine.respond(486, 0.0)
    machine.ack(0.1)
    assert machine.respond(200, 1.0) == machine.repeated(1.0) == machine.ack(1.0) == machine.wake(99.0) == ()
