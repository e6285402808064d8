"""What a relay does with packets, in one table for the way through userspace and the one through the kernel.

Each case begins with one packet relayed already: see `First`.
"""

from dataclasses import dataclass, field
from enum import Enum, auto

from haproxy_voip.edge.kernel_flow import PASS_UP
from haproxy_voip.edge.media_leg import MAX_DATAGRAM
from haproxy_voip.rtp.header import FIXED
from haproxy_voip.rtp.rtcp import ReceiverReport, encode

SSRC, OTHER_SSRC, OUT_SSRC = 0x1234_5678, 0x0BAD_CAFE, 0x9ABC_DEF0
VOICE = bytes(range(160))
REPORT = encode([ReceiverReport(SSRC)])


class Fate(Enum):
    """What becomes of a packet."""

    SENT = auto()  # counted, and leaves
    LATE = auto()  # counted, and does not leave
    STRANGER = auto()  # came from a third address: dropped
    PASSED_UP = auto()  # the kernel leaves it to userspace


@dataclass(frozen=True)
class First:
    """The packet before, as it came and as it left."""

    sequence: int = 1000
    timestamp: int = 80_000
    out_sequence: int = 40_000
    out_timestamp: int = 7


@dataclass(frozen=True)
class Came:
    """One packet."""

    data: bytes
    fate: Fate = Fate.SENT
    out: bytes | None = None  # how it leaves, whichever way it took; None: not at all


@dataclass(frozen=True)
class Case:
    """Packets in a row, and what is counted. What was passed up changes nothing, or is the last of them."""

    what: str
    packets: list[Came]
    first: First = field(default_factory=First)
    renumbered: bool = False
    types: dict[int, int] | None = None  # payload types and what they become; others are not known
    mux: bool = False
    follows: bool = False
    lost: int = 0
    highest: int | None = None  # extended; None: not asked
    dropped: int = 0  # in userspace: what was no RTP

    def __str__(self) -> str:
        return self.what

    @property
    def conversion(self) -> bytes | None:
        """As a kernel flow has it."""
        if self.types is None:
            return None
        return bytes(self.types.get(number, PASS_UP) for number in range(128))


def packet(
    sequence: int, ssrc: int = SSRC, *, timestamp: int | None = None, second: int = 0, first: int = 0x80
) -> bytes:
    """An RTP packet of 20 ms of G.711."""
    at = 80_000 + 160 * (sequence - 1000) if timestamp is None else timestamp
    return FIXED.pack(first, second, sequence & 0xFFFF, at & 0xFFFF_FFFF, ssrc) + VOICE


def sent(data: bytes, out: bytes | None = None) -> Came:
    return Came(data, Fate.SENT, data if out is None else out)


def up(data: bytes, out: bytes | None = None) -> Came:
    return Came(data, Fate.PASSED_UP, out)


def renumbered(sequence: int, first: First, second: int = 0) -> Came:
    """A packet and how it leaves."""
    timestamp = first.timestamp + 160 * (sequence - first.sequence)
    out = packet(
        first.out_sequence + sequence - first.sequence,
        OUT_SSRC,
        timestamp=first.out_timestamp + timestamp - first.timestamp,
        second=second,
    )
    return sent(packet(sequence, timestamp=timestamp, second=second), out)


def same(*sequences: int) -> list[Came]:
    return [sent(packet(sequence)) for sequence in sequences]


WRAPS = First(sequence=65_534, timestamp=0xFFFF_FFFF - 100, out_sequence=65_535, out_timestamp=0xFFFF_FFFF)

ORDINARY = [
    Case("the next ones leave as they came", same(1001, 1002, 1003), highest=1003),
    Case("what is missing is lost", same(1001, 1012), lost=10, highest=1012),
    Case("what comes late is not lost", same(1001, 1012, 1005, 1004), lost=8, highest=1012),
    Case("what comes twice is sent twice and hides no loss", same(1001, 1001, 1001, 1005), lost=1, highest=1005),
    Case("the longest gap is a gap", same(1000 + 2999), lost=2998, highest=3999),
    Case("a step longer than that is for userspace", [up(packet(4000), packet(4000))], lost=0),
    Case("the latest that counts as late", same(1001, 1001 - 99), lost=0, highest=1001),
    Case("what is later is for userspace", [*same(1001), up(packet(1001 - 100), packet(1001 - 100))]),
    Case(
        "sequence numbers go round",
        [sent(packet(n, timestamp=5)) for n in (65_535, 65_536, 65_537, 65_535)],
        first=WRAPS,
        lost=0,  # one doubled
        highest=65_537,
    ),
    Case("a timestamp goes round", [sent(packet(65_535, timestamp=60))], first=WRAPS),
    Case("a video frame has one timestamp", [sent(packet(n, timestamp=90_000)) for n in range(1001, 1006)]),
    Case("another source is for userspace", [up(packet(1, OTHER_SSRC), packet(1, OTHER_SSRC))]),
    Case("the marker and a static payload type stay", [sent(packet(1001, second=0x88))]),
    Case(
        "CSRC list, extension and padding stay, even where they are nonsense",
        [
            sent(packet(1001, first=0x8F)),
            sent(packet(1002, first=0x90)),
            sent(packet(1003, first=0xBF)),
            sent(packet(1004, first=0xA0)[:12]),
            sent(packet(1005, first=0x9F)[:12] + b"\xbe\xde\xff\xff"),
        ],
        highest=1005,
    ),
    Case("a header alone is a packet", [sent(packet(1001)[:12])]),
    Case("odd sizes have right checksums", [sent(packet(1001)[: 12 + size], None) for size in (1, 2, 3, 37)]),
]

JOINED = [
    Case(
        "numbers are those the receiver knows",
        [renumbered(n, First()) for n in (1001, 1002, 1004, 1003)],
        renumbered=True,
        lost=0,
        highest=1004,
    ),
    Case(
        "all numbers go round, each at its time",
        [renumbered(n, WRAPS) for n in range(65_535, 65_540)],
        first=WRAPS,
        renumbered=True,
        highest=65_539,
    ),
    Case("the marker stays", [renumbered(1001, First(), second=0x80)], renumbered=True),
    Case(
        "what is older than the first that was sent comes too late",
        [*[renumbered(n, First()) for n in (1001, 1005)], Came(packet(999), Fate.LATE), renumbered(1002, First())],
        renumbered=True,
        lost=1,
    ),
]

TYPED = [
    Case(
        "payload types become what the receiver calls them, and the marker stays",
        [
            sent(packet(1001, second=0xE0), packet(1001, second=0xE3)),
            sent(packet(1002, second=101), packet(1002, second=96)),
            sent(packet(1003, second=0)),
        ],
        types={96: 99, 101: 96, 0: 0},
    ),
    Case("what the receiver has no codec for is for userspace", [up(packet(1001, second=9))], types={0: 0}),
    Case(
        "payload type and numbers are changed together",
        [
            sent(
                packet(1001, second=0xE0),
                packet(40_001, OUT_SSRC, timestamp=7 + 160, second=0xE3),
            )
        ],
        types={96: 99},
        renumbered=True,
    ),
]

BEGUN = [
    Case("a flow that begins with the next packet goes on as any", same(1001, 1003, 1002), follows=True, highest=1003),
    Case(
        "until that one has come all others are for userspace",
        [*[up(packet(n), packet(n)) for n in (1002, 1000, 999, 1002)], *same(1001)],
        follows=True,
    ),
]

MUXED = [
    Case("RTCP on the same port is for userspace", [up(REPORT, REPORT), *same(1001), up(REPORT, REPORT)], mux=True),
    Case("so is what only looks like it", [up(packet(1001, second=200), packet(1001, second=200))], mux=True),
    Case("without an agreement it is RTP", [sent(packet(1001, second=200))]),
]

NO_RTP = [packet(1001)[:size] for size in range(12)]
WRONG_VERSIONS = [packet(1001, first=first) for first in (0x00, 0x40, 0xC0, 0x7F, 0xFF)]
HUGE = [packet(1001) + bytes(MAX_DATAGRAM + 1 - 172), packet(1001) + bytes(60_000)]
OTHERS = [
    b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12),  # STUN
    b"\x16\xfe\xfd" + bytes(60),  # DTLS
    b"OPTIONS sip:x SIP/2.0\r\n\r\n",
]
NOISE = [*NO_RTP, *WRONG_VERSIONS, *OTHERS]

HOSTILE = [
    Case(
        "what is no RTP changes nothing, cut off wherever it may be",
        [*same(1001), *map(up, NOISE), *same(1002)],
        dropped=len(NOISE),
        highest=1002,
    ),
    Case("what is too long for RTP changes nothing", [*same(1001), *map(up, HUGE), *same(1002)], dropped=len(HUGE)),
    Case("the longest passes", [sent(packet(1001) + bytes(MAX_DATAGRAM - 172))]),
    Case(
        "what a third address sends is dropped, however well it fits",
        [*same(1001), *(Came(data, Fate.STRANGER) for data in (packet(1002), packet(1002, OTHER_SSRC))), *same(1002)],
        lost=0,
        highest=1002,
    ),
    Case(
        "a port scan is dropped",
        [*same(1001), *(Came(data, Fate.STRANGER) for data in [*NOISE, REPORT] * 3), *same(1002)],
        mux=True,
        lost=0,
        highest=1002,
    ),
]

CASES = [*ORDINARY, *JOINED, *TYPED, *BEGUN, *MUXED, *HOSTILE]
