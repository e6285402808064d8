"""haproxy_voip.sip.digest.nonces: stateless nonces and the bounded memory against replay."""

from hypothesis import given, settings
from hypothesis import strategies as st

from haproxy_voip.sip.digest.nonces import CLOCK_SKEW, COUNT_WINDOW, NONCE_LIFE, UNCOUNTED, NonceCounts, Nonces

NOW = 1_700_000_000.0


def test_each_nonce_is_new_even_at_the_same_instant() -> None:
    nonces = Nonces(b"key", "r")
    assert len({nonces.make(NOW) for _ in range(100)}) == 100


def test_another_node_with_the_key_knows_the_nonce() -> None:
    nonce = Nonces(b"key", "r").make(NOW)
    assert Nonces(b"key", "r").use(nonce, 1, NOW + 1)
    assert not Nonces(b"other", "r").use(nonce, 1, NOW + 1)
    assert not Nonces(b"key", "another realm").use(nonce, 1, NOW + 1)


def test_a_nonce_ends_and_does_not_begin_before_it_was_made() -> None:
    nonces = Nonces(b"key", "r")
    nonce = nonces.make(NOW)
    assert nonces.use(nonce, 1, NOW + NONCE_LIFE - 1)
    assert not nonces.use(nonce, 2, NOW + NONCE_LIFE)
    assert nonces.use(nonce, 3, NOW - CLOCK_SKEW)
    assert not nonces.use(nonce, 4, NOW - CLOCK_SKEW - 1)


def test_a_changed_nonce_is_not_ours() -> None:
    nonces = Nonces(b"key", "r")
    nonce = nonces.make(NOW)
    for at in range(len(nonce)):
        changed = nonce[:at] + ("0" if nonce[at] != "0" else "1") + nonce[at + 1 :]
        assert not nonces.use(changed, 1, NOW)
    for other in ("", nonce[:-1], nonce + "0", "x" * len(nonce), "ä" * len(nonce), " " * len(nonce)):
        assert not nonces.use(other, 1, NOW)


def test_upper_case_digits_do_not_make_it_another_nonce() -> None:
    nonces = Nonces(b"key", "r")
    nonce = nonces.make(NOW)
    assert nonces.use(nonce, 1, NOW)
    assert not nonces.use(nonce.upper(), 1, NOW)


def test_a_count_serves_once_in_any_order() -> None:
    counts = NonceCounts()
    assert [counts.use(1, count) for count in (1, 3, 2, 2, 3, 1, 4)] == [True, True, True, False, False, False, True]


def test_a_count_too_far_behind_is_refused() -> None:
    counts = NonceCounts()
    assert counts.use(1, 1000)
    assert counts.use(1, 1000 - COUNT_WINDOW + 1)
    assert not counts.use(1, 1000 - COUNT_WINDOW)


def test_a_nonce_used_without_a_count_has_served() -> None:
    counts = NonceCounts()
    assert counts.use(1, UNCOUNTED)
    assert not counts.use(1, UNCOUNTED)
    assert not counts.use(1, 1)


def test_forgetting_costs_a_challenge_but_allows_no_replay() -> None:
    counts = NonceCounts(limit=2)
    assert counts.use(10, 1) and counts.use(20, 1) and counts.use(30, 1)
    assert len(counts) == 2
    assert not counts.use(10, 1)
    assert not counts.use(5, 1)  # older than what was forgotten: perhaps forgotten itself
    assert counts.use(15, 1)


def test_a_nonce_that_serves_no_more_is_forgotten() -> None:
    nonces = Nonces(b"key", "r")
    old, young = nonces.make(NOW), nonces.make(NOW + 1)
    assert nonces.use(old, 1, NOW + 1) and nonces.use(young, 1, NOW + 1)
    later = NOW + NONCE_LIFE + 0.5
    assert nonces.use(young, 2, later)
    assert len(nonces.counts) == 1
    assert not nonces.use(old, 2, NOW + 1)  # should the clock go back
    assert nonces.use(young, 3, later)
    assert not nonces.use(young, 3, later)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 200)), max_size=60))
def test_nothing_is_ever_accepted_twice(uses: list[tuple[int, int]]) -> None:
    counts = NonceCounts(limit=3)
    accepted = [use for use in uses if counts.use(*use)]
    assert len(accepted) == len(set(accepted))
