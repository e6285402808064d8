"""Five hundred histories: whatever dies, freezes or is cut off, and in whatever weather, the invariants hold.

In every history: no address crosses the proxy, no two streams share a port, calls go only to backends that are up,
every call ends at the phones, everybody is registered where they should be when all is mended. In those where one
backend at a time is in trouble and the network is good: every call is answered, unless its caller hangs up first. In
every sixth: nothing is left of any call a while later.
"""

from __future__ import annotations

import gc

import pytest

from tests.simulation import storms

pytestmark = [pytest.mark.simulation, pytest.mark.usefixtures("no_collector")]

HISTORIES = 500
AT_ONCE = 25  # histories in one test, so that several processes share the work


@pytest.mark.parametrize("first", range(1, HISTORIES, AT_ONCE))
def test_the_invariants_hold_in_these_histories(first: int) -> None:
    answered = 0
    for seed in range(first, first + AT_ONCE):
        answered += storms.run(seed)["200"]
        gc.collect()
    assert answered > AT_ONCE, "these histories hardly had a call"


def test_two_calls_to_one_person_that_a_backend_crossed_outlive_the_next_one() -> None:
    """Both were answered at charlie, the second at the phone that had rung for the first; then charlie is left."""
    storms.run(20525)


def test_the_same_seed_tells_the_same_history() -> None:
    digests = []
    for _ in range(2):
        storm = storms.Storm(7)
        storm.run()
        digests.append(storm.world.digest)
    assert digests[0] == digests[1]
