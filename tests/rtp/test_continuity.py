"""One stream out of many sources, as its receiver sees it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haproxy_voip.rtp.continuity import MAX_ADVANCE, RETIRED_SECONDS, Outgoing
from haproxy_voip.rtp.header import Header
from haproxy_voip.rtp.sequence import NONE, Newest, Reception

VOICE = b"x" * 160


class Line:
    """An Outgoing, what was sent into it, and what came out."""

    def __init__(self, clock_hz: int = 8000, before: Newest | None = None) -> None:
        self.outgoing = Outgoing(clock_hz)
        if before is not None:
            self.outgoing.resume(before, 10, 1600)
        self.now = 0.0 if before is None else before.at
        self.heard: list[Header] = []

    def send(
        self, sequence: int, timestamp: int, ssrc: int, after: float = 0.02, marker: bool = False
    ) -> Header | None:
        self.now += after
        packet = bytearray(Header(0, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc, marker).encode() + VOICE)
        if not self.outgoing.renumber(packet, len(packet), self.now):
            return None
        assert packet[12:] == VOICE
        self.heard.append(Header.parse(packet))
        return self.heard[-1]

    def run(self, first: int, timestamp: int, ssrc: int, count: int) -> list[Header]:
        sent = [self.send(first + turn, timestamp + 160 * turn, ssrc) for turn in range(count)]
        return [header for header in sent if header is not None]


ALPHA = Newest(0xA, 1000, 50_000, 5.0, 160)


def test_the_first_source_is_passed_on_as_it_is():
    line = Line()
    assert line.run(77, 12345, 9, 3) == [Header(0, 77 + n, 12345 + 160 * n, 9) for n in range(3)]


def test_another_source_goes_on_where_the_former_ended():
    line = Line(before=ALPHA)
    assert line.run(7, 99, 0xB, 3) == [
        Header(0, 1001, 50_160, 0xA, marker=True),
        Header(0, 1002, 50_320, 0xA),
        Header(0, 1003, 50_480, 0xA),
    ]
    assert (line.outgoing.packets, line.outgoing.octets) == (13, 1600 + 480)


def test_the_timestamp_goes_on_with_the_time_that_passed():
    """RFC 3550 section 5.1: it says when the sound was made, also across a pause."""
    line = Line(before=ALPHA)
    first = line.send(7, 99, 0xB, after=0.35)
    assert first is not None and first.timestamp == 50_000 + 2800 and first.sequence == 1001


def test_a_source_that_follows_too_soon_does_not_overlap_the_last_packet():
    line = Line(before=ALPHA._replace(step=240))  # 30 ms packets
    first = line.send(7, 99, 0xB, after=0.004)
    assert first is not None and first.timestamp == 50_240


@pytest.mark.parametrize("step", [0, 8000, -160, 5_000_000])
def test_where_the_last_step_tells_nothing_20_ms_are_taken(step: int):
    line = Line(before=ALPHA._replace(step=step))
    first = line.send(7, 99, 0xB, after=0.001)
    assert first is not None and first.timestamp == 50_160


def test_a_pause_of_days_is_bounded_so_that_the_timestamp_never_seems_to_go_back():
    line = Line(before=ALPHA)
    first = line.send(7, 99, 0xB, after=1e6)
    assert first is not None and first.timestamp == 50_000 + MAX_ADVANCE
    assert MAX_ADVANCE < 1 << 31


@settings(max_examples=60)
@given(
    st.integers(0, 65535),
    st.integers(0, 2**32 - 1),
    st.lists(st.tuples(st.integers(0, 65535), st.integers(0, 2**32 - 1), st.integers(1, 30)), min_size=1, max_size=6),
)
def test_however_sources_change_the_receiver_sees_one_stream_also_around_65536_and_2_to_the_32(
    sequence: int, timestamp: int, sources: list[tuple[int, int, int]]
):
    line = Line(before=Newest(0xA, sequence, timestamp, 1.0, 160))
    for number, (first, begins, count) in enumerate(sources):
        line.outgoing.switch()
        line.run(first, begins, 0xB0 + number % 2, count)
    reception = Reception(8000)
    reception.arrived(sequence, timestamp, 0xA, 1.0)
    for turn, header in enumerate(line.heard):
        assert header.ssrc == 0xA
        assert header.sequence == (sequence + 1 + turn) & 0xFFFF
        assert header.timestamp == (timestamp + 160 * (turn + 1)) & 0xFFFFFFFF
        reception.arrived(header.sequence, header.timestamp, header.ssrc, 1.0 + 0.02 * (turn + 1))
    assert reception.lost == 0 and reception.jitter < 1e-3


def test_a_source_that_keeps_the_dead_ones_ssrc_and_numbers_is_taken_all_the_same():
    """Natively bridged, Asterisk passes on the phone's own SSRC and sequence numbers."""
    line = Line(before=ALPHA)
    line.outgoing.switch()
    assert [header.sequence for header in line.run(900, 99, 0xA, 3)] == [1001, 1002, 1003]


def test_loss_and_reordering_before_us_stay_what_they_are():
    line = Line(before=ALPHA)
    line.run(100, 0, 0xB, 2)
    assert [line.send(n, 160 * (n - 100), 0xB).sequence for n in (105, 104, 106, 106)] == [1006, 1005, 1007, 1007]  # type: ignore[union-attr]
    assert line.outgoing.sequence == 1007


def test_what_the_source_sent_before_its_first_packet_comes_too_late():
    line = Line(before=ALPHA)
    line.run(0, 1000, 0xB, 1)
    assert line.send(-1, 840, 0xB) is None
    assert line.send(1, 1160, 0xB) == Header(0, 1002, 50_160 + 160, 0xA)


def test_late_packets_of_a_former_ssrc_are_dropped_and_its_return_is_a_new_source():
    line = Line(before=ALPHA)
    line.run(0, 1000, 0xB, 3)
    line.run(500, 77, 0xC, 1)
    assert line.send(3, 1480, 0xB, after=0.0) is None
    assert line.send(501, 237, 0xC) is not None
    back = line.send(20, 5000, 0xB, after=RETIRED_SECONDS)
    assert back is not None and back.sequence == 1006 and back.marker


def test_a_restart_under_the_same_ssrc_is_a_new_source():
    line = Line(before=ALPHA)
    line.run(100, 0, 0xB, 2)
    again = line.send(40_000, 123_456, 0xB)
    assert again is not None and (again.sequence, again.timestamp) == (1003, 50_480)
    assert line.run(40_001, 123_616, 0xB, 1)[0].sequence == 1004


def test_long_streams_go_round_without_dropping_anything():
    line = Line(before=ALPHA)
    headers = line.run(65_000, 2**32 - 1000, 0xB, 70_000)
    assert len(headers) == 70_000
    assert headers[-1].sequence == (1000 + 70_000) & 0xFFFF


def test_a_packet_left_out_on_purpose_leaves_no_gap():
    line = Line(before=ALPHA)
    line.run(10, 0, 0xB, 2)
    line.outgoing.skip(12, 0xB)
    following = line.send(13, 480, 0xB, after=0.04)
    assert following == Header(0, 1003, 50_160 + 480, 0xA)
    assert line.send(11, 160, 0xB) is None  # its number was given to another
    line.outgoing.skip(99, 0xC)  # of nobody we send from
    assert line.send(14, 640, 0xB) == Header(0, 1004, 50_160 + 640, 0xA)


def test_video_frames_share_a_timestamp_and_their_markers_stay_theirs():
    """RFC 3551 section 5: the marker ends a frame."""
    line = Line(90_000, Newest(0xA, 1000, 50_000, 5.0, 3000))
    frames = [
        line.send(7, 99, 0xB, after=0.033),
        line.send(8, 99, 0xB, after=0.0, marker=True),
        line.send(9, 3099, 0xB, after=0.033),
    ]
    assert [(h.sequence, h.timestamp, h.marker) for h in frames if h] == [
        (1001, 53_000, False),
        (1002, 53_000, True),
        (1003, 56_000, False),
    ]


def test_our_own_packets_go_between():
    line = Line(before=ALPHA)
    made = [Header.parse(line.outgoing.make(0, VOICE, 160, 5.06 + 0.02 * turn)) for turn in range(3)]
    assert made == [
        Header(0, 1001, 50_480, 0xA, marker=True),
        Header(0, 1002, 50_640, 0xA),
        Header(0, 1003, 50_800, 0xA),
    ]
    line.now = 5.1
    assert line.send(7, 99, 0xB, after=0.03) == Header(0, 1004, 50_800 + 240, 0xA, marker=True)


def test_another_clock_is_followed():
    line = Line(before=ALPHA)
    line.outgoing.retime(16_000)
    first = line.send(7, 99, 0xB, after=0.02)
    assert first is not None and first.timestamp == 50_320
    line.outgoing.retime(16_000)


def test_numbers_can_be_told_both_ways():
    line = Line(before=ALPHA)
    assert line.outgoing.source == NONE
    line.run(65_534, 0, 0xB, 4)
    outgoing = line.outgoing
    assert outgoing.outgoing_timestamp(480) == line.heard[-1].timestamp
    assert outgoing.incoming_sequence(1002) == 65_535
    assert [outgoing.incoming_highest(n) for n in (1001, 1003, 1004)] == [65_534, 65_536, 65_537]
    assert outgoing.incoming_highest(1000) is None  # alpha's
    assert outgoing.changes == 1


@given(st.lists(st.sampled_from([1, 1, 1, 2, 0, -1, -5, 4000]), min_size=1, max_size=40), st.integers(0, 39))
def test_one_that_is_carried_on_elsewhere_sends_what_it_would_have_sent(steps: list[int], at: int) -> None:
    stayed, moved = Line(before=ALPHA), Line(before=ALPHA)
    assert stayed.outgoing.snapshot() is None
    sequence = 65_530
    for turn, step in enumerate(steps):
        sequence += step
        assert stayed.send(sequence, 160 * sequence, 0xB) == moved.send(sequence, 160 * sequence, 0xB)
        if turn == at:
            state = moved.outgoing.snapshot()
            assert state is not None
            moved.outgoing = Outgoing(8000)
            moved.outgoing.restore(state)
    assert moved.outgoing.snapshot() == stayed.outgoing.snapshot()
    assert moved.run(900, 5, 0xC, 3) == stayed.run(900, 5, 0xC, 3)  # another source, from the same place


def test_noise_of_our_own_is_not_carried_on():
    line = Line(before=ALPHA)
    line.run(7, 99, 0xB, 2)
    line.outgoing.make(13, b"", 160, line.now + 0.02)
    assert line.outgoing.snapshot() is None
