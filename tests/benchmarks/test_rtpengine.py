"""Bencode, and what is read of an answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.parts.rtpengine import SDP, Refused, decode, encode, place_in

VALUES = st.recursive(
    st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def test_a_command_is_written_as_rtpengine_reads_it() -> None:
    assert encode({"command": "ping", "at": 3, "flags": ["a", "b"]}) == b"d2:ati3e7:command4:ping5:flagsl1:a1:bee"


@given(VALUES)
def test_what_is_written_is_read_again(value: object) -> None:
    data = encode(value)  # type: ignore[arg-type]
    assert decode(data) == (value, len(data))


@given(VALUES)
def test_what_is_cut_off_is_an_error(value: object) -> None:
    data = encode(value)  # type: ignore[arg-type]
    for end in range(len(data) if data[:1] in b"ld" else 0):
        with pytest.raises((ValueError, IndexError)):
            decode(data[:end])


def test_the_place_is_read_from_the_sdp() -> None:
    assert place_in({"sdp": SDP.format("127.0.72.9", 4000)}) == ("127.0.72.9", 4000)
    with pytest.raises(Refused):
        place_in({"sdp": "v=0\r\n"})
