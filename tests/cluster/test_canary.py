"""When the canary connection is made."""

from haproxy_voip.cluster.canary import RETRY_MAX_SECONDS, RETRY_SECONDS, STIR_SECONDS, WORTHWHILE_SECONDS, Canary


def test_the_end_of_an_open_one_is_news_and_of_one_never_opened_is_not() -> None:
    canary = Canary()
    assert not canary.closed(1.0)
    canary.opened(2.0)
    assert canary.closed(3.0)
    assert not canary.closed(3.1)


def test_a_backend_that_refuses_it_is_asked_ever_more_rarely() -> None:
    canary, now, waits = Canary(), 0.0, []
    for _ in range(8):
        canary.closed(now)
        assert canary.due_at is not None
        waits.append(canary.due_at - now)
        now = canary.due_at
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, RETRY_MAX_SECONDS, RETRY_MAX_SECONDS]


def test_one_that_lasted_is_made_again_soon() -> None:
    canary = Canary()
    for _ in range(5):
        canary.closed(0.0)
    canary.opened(1.0)
    canary.closed(1.0 + WORTHWHILE_SECONDS)
    assert canary.due_at == 1.0 + WORTHWHILE_SECONDS + RETRY_SECONDS


def test_none_is_due_while_it_is_open_being_made_or_unwanted() -> None:
    canary = Canary()
    assert canary.due_at is None
    canary.closed(0.0)
    canary.opened(0.1)
    assert canary.due_at is None
    canary.closed(0.2)
    canary.being_made()
    assert canary.due_at is None
    canary.closed(0.3)
    canary.drop()
    assert canary.due_at is None


def test_something_is_said_on_an_open_one_now_and_then() -> None:
    canary = Canary()
    assert canary.stir_at is None
    canary.opened(1.0)
    assert canary.stir_at == 1.0 + STIR_SECONDS
    canary.stirred(30.0)
    assert canary.stir_at == 30.0 + STIR_SECONDS
    canary.closed(31.0)
    assert canary.stir_at is None
    canary.opened(32.0)
    canary.drop()
    assert canary.stir_at is None
