from haproxy_voip.cluster.suspicion import TOGETHER_SECONDS, Calls


def test_calls_are_counted_together_while_they_come_together() -> None:
    calls = Calls()
    assert calls.add(2, 10.0) == 2
    assert calls.add(1, 10.0 + TOGETHER_SECONDS) == 3
    assert calls.add(1, 10.0 + 2 * TOGETHER_SECONDS) == 4  # each counts from the one before


def test_calls_that_come_later_are_counted_anew() -> None:
    calls = Calls()
    calls.add(5, 10.0)
    assert calls.add(1, 10.01 + TOGETHER_SECONDS) == 1
