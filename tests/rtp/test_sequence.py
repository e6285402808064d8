"""Loss and jitter as RFC 3550 appendix A counts them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haproxy_voip.rtp.sequence import MAX_DROPOUT, Reception


def reception_of(sequences: list[int], ssrc: int = 1) -> Reception:
    reception = Reception(8000)
    for turn, sequence in enumerate(sequences):
        reception.arrived(sequence & 0xFFFF, 160 * turn, ssrc, 0.02 * turn)
    return reception


def test_nothing_arrived_nothing_lost():
    assert (Reception(8000).lost, Reception(8000).jitter) == (0, 0.0)


@settings(max_examples=30)
@given(st.integers(0, 65535), st.integers(1, 300))
def test_a_whole_run_loses_nothing_wherever_it_begins_also_around_65536(first: int, count: int):
    assert reception_of(list(range(first, first + count))).lost == 0


@settings(max_examples=30)
@given(st.integers(0, 65535), st.sets(st.integers(1, 198), max_size=50))
def test_every_gap_is_counted_also_around_65536(first: int, missing: set[int]):
    sequences = [first + step for step in range(200) if step not in missing]
    assert reception_of(sequences).lost == len(missing)


@settings(max_examples=30)
@given(st.randoms(use_true_random=False))
def test_order_does_not_matter_within_a_hundred(random):
    sequences = list(range(65500, 65500 + 80))
    tail = sequences[1:]
    random.shuffle(tail)
    assert reception_of([sequences[0], *tail]).lost == 0


def test_the_highest_sequence_number_goes_on_after_65535():
    """A.1: the extended one, as receiver reports carry it."""
    assert reception_of([65534, 65535, 1, 0]).highest == 65537
    assert Reception(8000).highest == 0


def test_doubled_packets_never_make_loss_negative():
    assert reception_of([1, 2, 2, 2, 3]).lost == 0


def test_one_wild_sequence_number_is_ignored_two_in_a_row_are_a_restart():
    """A.1: bad_seq."""
    assert reception_of([1, 2, 40000, 3, 5]).lost == 1
    assert reception_of([1, 2, 40000, 40001, 40002]).lost == 0
    assert MAX_DROPOUT < 40000


def test_a_new_ssrc_starts_anew_and_what_was_lost_stays_counted():
    reception = reception_of([1, 2, 5])
    reception.arrived(777, 0, 2, 1.0)
    reception.arrived(779, 160, 2, 1.02)
    assert reception.lost == 3


def test_even_packets_have_no_jitter_also_when_the_timestamp_goes_round():
    reception = Reception(8000)
    for turn in range(100):
        reception.arrived(turn, (2**32 - 4000 + 160 * turn) % 2**32, 1, 5.0 + 0.02 * turn)
    assert reception.jitter < 0.0003  # whole units of the clock, 1/8000 s


def test_jitter_tends_to_the_mean_difference():
    """A.8: alternately 5 ms late, so two packets always differ by 5 ms."""
    reception = Reception(8000)
    for turn in range(400):
        reception.arrived(turn, 160 * turn, 1, 0.02 * turn + (0.005 if turn % 2 else 0.0))
    assert reception.jitter == pytest.approx(0.005, rel=0.05)


def test_packets_of_one_timestamp_do_not_count_as_jitter():
    """A telephone event repeats its first timestamp for as long as the key is held (RFC 4733 2.5.1.2)."""
    reception = reception_of(list(range(10)))
    before = reception.jitter
    for turn in range(10, 40):
        reception.arrived(turn, 160 * 9, 1, 0.02 * turn)
    assert reception.jitter == before


def test_another_clock_starts_the_jitter_anew():
    reception = reception_of([1, 2])
    reception.arrived(3, 160 * 3, 1, 9.0)
    assert reception.jitter > 0.1
    reception.retime(90000)
    assert reception.jitter == 0.0
    reception.arrived(4, 0, 1, 9.02)
    assert (reception.jitter, reception.lost) == (0.0, 0)


def test_the_newest_packet_is_the_highest_not_the_latest():
    reception = Reception(8000)
    assert reception.newest is None
    for turn, sequence in enumerate((65534, 65535, 1, 0)):
        reception.arrived(sequence, 160 * ((sequence + 2) & 0xFFFF), 7, 10.0 + 0.02 * turn)
    newest = reception.newest
    assert newest is not None
    assert (newest.ssrc, newest.sequence, newest.timestamp) == (7, 1, 480)
    assert newest.at == pytest.approx(10.04)
    reception.arrived(2, 640, 7, 10.08)
    newest = reception.newest
    assert newest is not None and (newest.sequence, newest.timestamp) == (2, 640)
    reception.arrived(40, 99, 8, 10.1)
    newest = reception.newest
    assert newest is not None and newest[:3] == (8, 40, 99)
    reception.retime(16000)
    assert reception.newest is None


@given(st.lists(st.sampled_from([1, 1, 1, 2, 5, 0, -1, -3, 4000]), min_size=1, max_size=40), st.integers(0, 39))
def test_one_that_is_carried_on_elsewhere_counts_as_if_it_had_stayed(steps: list[int], at: int) -> None:
    stayed, moved, sequence = Reception(8000), Reception(8000), 65_530
    assert stayed.snapshot() is None
    for turn, step in enumerate(steps):
        sequence += step
        for each in (stayed, moved):
            each.arrived(sequence & 0xFFFF, 160 * (sequence + 7 * (turn % 3)) & 0xFFFFFFFF, 7, 10.0 + 0.02 * turn)
        if turn == at:
            state = moved.snapshot()
            assert state is not None
            confirming, moved = moved._confirming, Reception(8000)
            moved.restore(state)
            moved._confirming = confirming  # a restart that is not confirmed yet is forgotten
    assert (moved.highest, moved._missing) == (stayed.highest, stayed._missing)
    assert moved.jitter == pytest.approx(stayed.jitter, abs=1e-9)
    assert moved.newest is not None and moved.newest == pytest.approx(stayed.newest)


def test_nothing_is_carried_on_without_a_packet_of_the_present_clock() -> None:
    reception = reception_of([1, 2])
    reception.retime(90_000)
    assert reception.snapshot() is None
