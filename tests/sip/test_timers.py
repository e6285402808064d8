"""The lengths of RFC 3261 Table 4."""

from haproxy_voip.sip.timers import Timer, Timing, earliest, is_due


def test_lifetime_is_64_times_t1() -> None:
    """RFC 3261 Table 4: timers B, F, H, J."""
    assert Timing().lifetime == 32.0
    assert Timing(t1=0.1).lifetime == 6.4


def test_timer_d_is_never_below_32_seconds() -> None:
    """17.1.1.2: "at least 32 seconds for unreliable transports", whatever our T1."""
    assert Timing(t1=0.1).timer_d == 32.0
    assert Timing(t1=1.0).timer_d == 64.0


def test_late_100_is_due_when_timer_e_reaches_t2() -> None:
    """RFC 4320 4.1: E fires at 0.5, 1.5 and 3.5 s and is then reset to T2."""
    assert Timing().trying == 3.5
    assert Timing(t1=4.0).trying == 0.0


def test_only_a_running_timer_whose_time_has_come_is_due() -> None:
    timers = {Timer.A: 1.0, Timer.B: 32.0}
    assert is_due(timers, Timer.A, 1.0)
    assert not is_due(timers, Timer.A, 0.9)
    assert not is_due(timers, Timer.D, 99.0)
    assert earliest(timers) == 1.0
    assert earliest({}) is None
