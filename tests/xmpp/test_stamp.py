"""XEP-0082 times."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haproxy_voip.xmpp.stamp import parse_stamp, utc_stamp

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(st.integers(-(2**35), 2**37), st.integers(0, 999))
def test_stamps_are_the_calendars_and_come_back(seconds: int, milliseconds: int) -> None:
    stamp = utc_stamp(seconds + milliseconds / 1000)
    moment = EPOCH + timedelta(seconds=seconds, milliseconds=milliseconds)
    assert stamp == f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds:03}Z".rjust(24, "0")
    assert parse_stamp(stamp) == pytest.approx(seconds + milliseconds / 1000, abs=1e-4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1969-07-21T02:56:15Z", -14_159_025),
        ("1969-07-20T21:56:15-05:00", -14_159_025),
        ("2002-09-10T23:08:25Z", 1_031_699_305),
        ("20020910T23:08:25", 1_031_699_305),  # XEP-0091, as in old archives
        (" 2002-09-11T01:08:25.5+02:00 ", 1_031_699_305.5),
        ("2024-02-29T00:00:00Z", 1_709_164_800),
    ],
)
def test_times_of_the_specification_and_of_the_field(text: str, expected: float) -> None:
    assert parse_stamp(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2023-02-29T00:00:00Z",
        "2024-13-01T00:00:00Z",
        "2024-01-01T25:00:00Z",
        "２０２４-01-01T00:00:00Z",
    ],
)
def test_what_is_no_time(text: str) -> None:
    assert parse_stamp(text) is None
