"""What is found to be left over after a soak, and what SIPp says that is no complaint."""

import os
from typing import Any

from benchmarks.parts.soak_figures import COUNTED, PROBES, Reading, curve, gone, leaks, reading
from benchmarks.parts.soak_load import complaints


def found(**counts: int) -> Reading:
    return Reading(0.0, 1024, 20, 0.0, dict.fromkeys((*COUNTED, "registrations"), 0) | counts)


def test_nothing_is_left_over_when_there_is_as_much_as_before() -> None:
    assert leaks(found(contacts=5), found(contacts=5)) == {}
    assert leaks(found(transactions=300), found(transactions=0)) == {}


def test_what_there_is_more_of_is_named_with_its_number() -> None:
    after = Reading(9.0, 1024, 23, 0.0, found(calls=1, media_port_pairs=2).counts)
    assert leaks(found(), after) == {"calls": 1, "media_port_pairs": 2, "file descriptors": 3}


def test_probes_under_way_are_no_leak() -> None:
    assert leaks(found(), found(transactions=PROBES)) == {}
    assert leaks(found(), found(transactions=PROBES + 1)) == {"transactions": PROBES + 1}


def test_bindings_that_are_there_no_more_are_told() -> None:
    assert gone(found(contacts=5, registrations=15), found(contacts=5, registrations=10)) == {"registrations": 5}


def test_a_reading_is_of_a_process_that_lives() -> None:
    status: dict[str, Any] = dict.fromkeys(COUNTED, 1) | {"backends": [{"registrations": 2}, {"registrations": 3}]}
    one = reading(os.getpid(), status, 4.0)
    assert one.counts["registrations"] == 5 and one.rss_kib > 1024 and one.descriptors > 2 and one.cpu > 0
    assert len(curve([one, one])) == 3


def test_a_call_that_stayed_as_long_as_it_should_is_no_complaint() -> None:
    stayed = (
        "2026-11-23\t11:46:42.422518\t1.4: Call-Id: 1@x, receive timeout on message call load:10, jumping to label 12"
    )
    dead = "2026-11-23\t11:46:43.422518\t1.5: Dead call 2@x (aborted), received 'SIP/2.0 200 OK\n\n'"
    assert complaints(f"The following events occurred:\n{stayed}{dead}{stayed}") == dead
    assert complaints("") == ""
