"""Port pairs: even, rested, finite."""

import pytest

from haproxy_voip.rtp.ports import BROKEN_SECONDS, NoPorts, PortPool


def test_ports_are_even_and_go_upwards_at_first():
    pool = PortPool(20000, 20007, quarantine=10.0)
    assert [pool.take(0.0) for _ in range(4)] == [20000, 20002, 20004, 20006]
    assert pool.in_use == 4


def test_an_odd_low_end_and_an_even_high_end_leave_whole_pairs_only():
    pool = PortPool(20001, 20006, quarantine=0.0)
    assert [pool.take(0.0), pool.take(0.0)] == [20002, 20004]
    with pytest.raises(NoPorts):
        pool.take(0.0)


def test_a_port_given_back_rests_before_it_is_given_out_again():
    pool = PortPool(20000, 20001, quarantine=10.0)
    port = pool.take(0.0)
    pool.give_back(port, 5.0)
    with pytest.raises(NoPorts, match="0 port pairs in use, 1 resting, 0 broken"):
        pool.take(14.9)
    assert pool.take(15.0) == port


def test_the_port_that_rested_longest_comes_first():
    pool = PortPool(20000, 20005, quarantine=10.0)
    first, second, third = (pool.take(0.0) for _ in range(3))
    for port, now in ((second, 1.0), (third, 2.0), (first, 3.0)):
        pool.give_back(port, now)
    assert [pool.take(20.0) for _ in range(3)] == [second, third, first]


def test_one_that_has_rested_comes_before_one_that_was_never_used():
    pool = PortPool(20000, 20099, quarantine=10.0)
    port = pool.take(0.0)
    pool.give_back(port, 1.0)
    assert pool.take(10.9) == port + 2
    assert pool.take(11.0) == port


def test_a_port_that_cannot_be_bound_is_left_alone_for_long():
    pool = PortPool(20000, 20003, quarantine=1.0)
    port = pool.take(0.0)
    pool.broken(port, 0.0)
    assert pool.take(100.0) != port
    with pytest.raises(NoPorts, match="1 broken"):
        pool.take(BROKEN_SECONDS - 0.1)
    assert pool.take(BROKEN_SECONDS) == port


def test_ports_somebody_else_uses_are_not_given_out_until_they_are_given_back_and_rested():
    pool = PortPool(20000, 20005, quarantine=10.0)
    assert pool.occupy({20002, 20004, 40000}) == {20002, 20004}
    assert pool.in_use == 2 and pool.take(0.0) == 20000
    with pytest.raises(NoPorts):
        pool.take(0.0)
    pool.give_back(20004, 1.0)
    with pytest.raises(NoPorts):
        pool.take(10.9)
    assert pool.take(11.0) == 20004


def test_giving_back_twice_is_our_mistake():
    pool = PortPool(20000, 20003, quarantine=1.0)
    port = pool.take(0.0)
    pool.give_back(port, 0.0)
    with pytest.raises(KeyError):
        pool.give_back(port, 0.0)


@pytest.mark.parametrize(("low", "high"), [(20001, 20002), (20000, 20000), (0, 100), (65535, 65536), (30000, 20000)])
def test_a_range_without_a_pair_is_refused(low: int, high: int):
    with pytest.raises(ValueError, match="holds no pair"):
        PortPool(low, high, quarantine=1.0)


def test_the_same_calls_give_the_same_ports():
    def history() -> list[int]:
        pool, ports = PortPool(20000, 20099, quarantine=3.0), []
        for turn in range(200):
            port = pool.take(float(turn))
            ports.append(port)
            pool.give_back(port, turn + 0.5)
        return ports

    assert history() == history()


def test_another_range_is_given_out_from_now_on_and_what_is_taken_stays_taken() -> None:
    pool = PortPool(20000, 20003, 5.0)
    assert pool.take(0.0) == 20000
    pool.resize(20002, 20007, 1.0)
    assert [pool.take(1.0) for _ in range(3)] == [20002, 20004, 20006]
    pool.give_back(20000, 2.0)
    pool.give_back(20004, 2.0)
    assert pool.take(3.0) == 20004  # the other one is not ours any more
    with pytest.raises(NoPorts):
        pool.take(100.0)


def test_a_port_that_rests_or_is_broken_is_not_given_out_by_a_change_of_the_range() -> None:
    pool = PortPool(20000, 20003, 5.0)
    pool.give_back(pool.take(0.0), 0.0)
    pool.broken(pool.take(0.0), 0.0)
    pool.resize(20000, 20005, 5.0)
    assert pool.take(1.0) == 20004
    assert pool.take(6.0) == 20000
