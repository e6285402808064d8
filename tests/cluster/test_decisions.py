"""What becomes of each thing on a dead backend."""

import pytest

from haproxy_voip.cluster.decisions import Decision, Thing, decide, safe_to_repeat


@pytest.mark.parametrize("thing", Thing)
@pytest.mark.parametrize("another", [True, False])
def test_everything_has_a_decision(thing: Thing, another: bool) -> None:
    assert decide(thing, another=another) in Decision


def test_no_call_attempt_is_lost_while_there_is_a_backend() -> None:
    assert decide(Thing.CALL_PENDING, another=True) is Decision.INVITE_AGAIN
    assert decide(Thing.CALL_RINGING_FROM_PHONE, another=True) is Decision.INVITE_AGAIN
    assert decide(Thing.CALL_RINGING_TO_PHONE, another=True) is Decision.KEEP_RINGING


def test_without_a_backend_callers_are_told_and_phones_stop_ringing() -> None:
    assert decide(Thing.CALL_PENDING, another=False) is Decision.REFUSE_FOR_NOW
    assert decide(Thing.CALL_RINGING_FROM_PHONE, another=False) is Decision.REFUSE_FOR_NOW
    assert decide(Thing.CALL_RINGING_TO_PHONE, another=False) is Decision.CANCEL


def test_registrations_outlive_every_backend() -> None:
    for another in (True, False):
        assert decide(Thing.REGISTRATION_MIRRORED, another=another) is Decision.KEEP
        assert decide(Thing.REGISTRATION_ACTIVE, another=another) is Decision.REGISTER_AGAIN


def test_subscriptions_move_or_end_and_may_be_tried_again() -> None:
    assert decide(Thing.SUBSCRIPTION, another=True) is Decision.SUBSCRIBE_AGAIN
    assert decide(Thing.SUBSCRIPTION, another=False) is Decision.UNSUBSCRIBE


def test_answered_calls_go_on_or_end_cleanly() -> None:
    assert decide(Thing.CALL_ANSWERED, another=True) is Decision.CARRY_ON
    assert decide(Thing.CALL_ANSWERED, another=False) is Decision.HANG_UP


def test_requests_are_repeated_only_when_that_changes_nothing() -> None:
    assert decide(Thing.REQUEST_SAFE, another=True) is Decision.SEND_AGAIN
    assert decide(Thing.REQUEST_UNSAFE, another=True) is Decision.REFUSE
    assert safe_to_repeat("OPTIONS", in_dialog=False)
    assert safe_to_repeat("SUBSCRIBE", in_dialog=False)
    assert not safe_to_repeat("SUBSCRIBE", in_dialog=True)
    for method in ("MESSAGE", "REFER", "INFO", "NOTIFY", "BYE", "UNHEARD-OF"):
        assert not safe_to_repeat(method, in_dialog=False)
