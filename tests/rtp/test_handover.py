"""From the direct way to the server's, packet by packet."""

from itertools import pairwise
from random import Random

import pytest

from haproxy_voip.rtp.handover import BEHIND_SECONDS, LIMIT_SECONDS, PATIENCE_SECONDS, REMEMBERED, Handover


def play(way: dict[int, float | None], packets: int = 60, said: list[int] | None = None) -> list[int]:
    """What a client hears of packets sent every 20 ms; `way`: how long the server takes, from which packet on."""
    events = []
    handover, delay, heard = Handover(0.0), None, []
    for turn in range(packets):
        delay = way.get(turn, delay)
        events.append((0.02 * turn, 0, turn))
        if delay is not None:
            events.append((0.02 * turn + delay, 1, turn))
    for at, server, turn in sorted(events):
        payload = turn if said is None else said[turn]
        if handover.served(payload, at) if server else handover.direct(payload, at):
            heard.append(turn)
    return heard


@pytest.mark.parametrize("delay", [0.001, 0.015, 0.021, 0.055, 0.13])
@pytest.mark.parametrize("begins", [0, 3, 12])
def test_every_packet_is_heard_once_and_in_order(delay: float, begins: int):
    heard = play({begins: delay})
    assert heard == list(range(len(heard))) and len(heard) >= 60 - delay / 0.02 - 1


def test_silence_between_words_is_not_taken_for_what_was_heard():
    for seed in range(50):
        random = Random(seed)
        said = [0 if random.random() < 0.6 else turn for turn in range(60)]
        words = [said[turn] for turn in play({3: 0.05}, said=said) if said[turn]]
        assert words == [word for word in said if word][: len(words)] and len(words) > 10


def test_in_whatever_order_the_server_sends_each_word_is_heard_once():
    for seed in range(300):
        random, handover = Random(seed), Handover(0.0)
        delay, jitter, begins = random.uniform(0.0, 0.1), random.choice([0.0, 0.03, 0.06]), random.randrange(20)
        said = [0 if random.random() < 0.3 else turn for turn in range(1, 80)]
        events = [(0.02 * turn, False, payload) for turn, payload in enumerate(said)]
        events += [(at + delay + random.uniform(0.0, jitter), True, payload) for at, _, payload in events[begins:]]
        heard = [
            payload
            for at, server, payload in sorted(events)
            if (handover.served(payload, at) if server else handover.direct(payload, at))
        ]
        assert sorted(filter(None, heard)) == [word for word in said if word]


@pytest.mark.parametrize("begins", [0, 1, 3, 12])
def test_a_tone_whose_packets_are_all_the_same_is_heard_without_a_gap(begins: int):
    heard = play({begins: 0.05}, said=[0] * 60)
    assert len(heard) >= 57 and max(later - earlier for earlier, later in pairwise(heard)) <= 1


def test_a_server_that_loses_packets_is_followed():
    handover = Handover(0.0)
    assert [handover.direct(turn, 0.02 * turn) for turn in range(5)] == [True] * 5
    assert [handover.served(turn, 0.1) for turn in (1, 3, 4, 5, 6)] == [False, False, False, True, True]
    assert not handover.direct(5, 0.1)


def test_a_server_that_transcodes_is_waited_for_a_moment():
    handover = Handover(0.0)
    assert handover.direct(1, 0.1)
    assert not handover.served(901, 0.2)
    assert handover.direct(2, 0.2 + PATIENCE_SECONDS - 0.01)
    assert handover.served(902, 0.2 + PATIENCE_SECONDS)
    assert not handover.direct(3, 0.5) and handover.done


def test_a_server_that_says_nothing_ends_it_as_well():
    handover = Handover(0.0)
    assert handover.direct(1, LIMIT_SECONDS - 0.01)
    assert not handover.direct(2, LIMIT_SECONDS) and handover.done
    assert handover.served(3, LIMIT_SECONDS + 1.0) and handover.served(1, LIMIT_SECONDS + 1.0)


@pytest.mark.parametrize("first", [0, 2])
def test_what_overtakes_in_the_server_lets_nothing_be_heard_twice(first: int):
    handover = Handover(0.0)
    assert [handover.direct(turn, 0.02 * turn) for turn in range(5)] == [True] * 5
    order = [*range(first), first + 1, first, *range(first + 2, 8)]
    assert [turn for turn in order if handover.served(turn, 0.1 + 0.001 * turn)] == [5, 6, 7]


def test_what_comes_out_late_is_known_for_a_moment_only():
    handover = Handover(0.0)
    for turn in range(3):
        handover.direct(turn, 0.0)
    assert not handover.served(2, 0.1)
    assert not handover.served(0, 0.1 + BEHIND_SECONDS - 0.01)
    assert handover.served(1, 0.1 + BEHIND_SECONDS)


def test_a_word_after_silence_is_not_heard_twice_where_the_silence_told_nothing():
    """The server is followed in a pause, and what is said next is heard directly just before that."""
    handover = Handover(0.0)
    assert handover.direct(0, 0.0) and handover.direct(0, 0.02)
    assert not handover.served(0, 0.03)
    assert all(handover.direct(payload, 0.04) for payload in (0, 0, 1))
    assert handover.served(0, 0.03 + PATIENCE_SECONDS)
    assert not handover.served(1, 0.05 + PATIENCE_SECONDS)
    assert handover.served(2, 0.07 + PATIENCE_SECONDS)


def test_memory_is_bounded():
    handover = Handover(0.0)
    for turn in range(2 * REMEMBERED):
        handover.direct(turn, 0.0)
    assert len(handover._direct) == REMEMBERED
