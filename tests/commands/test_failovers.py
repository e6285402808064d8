from __future__ import annotations

import pytest

from haproxy_voip.commands.failovers import ago, failovers

ONE = {
    "age_seconds": 52.4,
    "backend": "alpha",
    "successor": "beta",
    "signal": "canary closed",
    "detected_after": 0.0042,
    "moved": {"calls being set up": 1, "phones ringing": 2},
    "lost": {"answered calls": 3},
}
OTHER = ONE | {"age_seconds": 3.0, "backend": "beta", "successor": None, "moved": {}, "lost": {}}


def test_the_newest_comes_first_with_what_moved_and_what_ended():
    assert failovers([ONE, OTHER]).splitlines() == [
        "3 s ago: beta -> nobody on canary closed, detected after 4 ms",
        "    moved: nothing",
        "    ended: nothing",
        "52 s ago: alpha -> beta on canary closed, detected after 4 ms",
        "    moved: 1 calls being set up, 2 phones ringing",
        "    ended: 3 answered calls",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0 s ago"),
        (59.9, "59 s ago"),
        (60, "1 min ago"),
        (3599, "59 min ago"),
        (11_100, "3 h 5 min ago"),
        (200_000, "2 d 7 h ago"),
    ],
)
def test_the_longer_ago_the_less_exact(seconds, text):
    assert ago(seconds) == text
