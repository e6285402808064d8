"""Chats through storms: whatever dies, freezes, is cut off or shut down, nothing is lost, doubled or seen to flap.

What must be so in every history is in chat_reckoning.py. For thousands: `python -m tests.simulation.chat_storms
1 5000`. Here as many as take half a minute, among them those that once found something.
"""

from __future__ import annotations

import gc
from collections import Counter

import pytest

from tests.simulation import chat_storms

pytestmark = [pytest.mark.simulation, pytest.mark.usefixtures("no_collector")]

HISTORIES = 20
AT_ONCE = 5
# Reserves that closed too early, copies out of order, repetitions nobody remembered, what waited for a client that
# never came back, a room entered and left at once, a request answered twice, a login under way during a switch, a
# room's history from before its occupant came, a room told again what somebody had heard before logging out.
FOUND_SOMETHING = [13, 20, 26, 51, 69, 141, 343, 357, 373, 20276, 20570, 300332, 600040]


@pytest.mark.parametrize("first", range(1, HISTORIES, AT_ONCE))
def test_the_invariants_hold_in_these_histories(first: int) -> None:
    outcomes: Counter[str] = Counter()
    for seed in range(first, first + AT_ONCE):
        outcomes += chat_storms.run(seed)
        gc.collect()
    assert outcomes["messages"] > 50 * AT_ONCE, "these histories hardly had a word"
    assert sum(outcomes[fault] for fault in chat_storms.FAULTS) > AT_ONCE, "hardly anything happened"


@pytest.mark.parametrize("seed", FOUND_SOMETHING)
def test_the_invariants_hold_where_they_once_did_not(seed: int) -> None:
    chat_storms.run(seed)


def test_the_same_seed_tells_the_same_history() -> None:
    digests = []
    for _ in range(2):
        storm = chat_storms.ChatStorm(7)
        storm.run()
        digests.append(storm.world.digest)
    assert digests[0] == digests[1]
