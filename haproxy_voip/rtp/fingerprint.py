"""Which two clients hear each other, told by what passes (payload fingerprints).

A server that does not transcode sends the payload it got from one client out to the other. So a payload that arrives
from client A and, moments later, from the server on stream B shows that B hears A. Such a *match* is believed only when
nothing else explains it, because a wrong pair would connect strangers:

1. A payload counts once, and only while it is rare among all streams. One that came twice from clients, or twice from
   servers, or from a server first, is *common*: it proves nothing, it takes back what it seemed to prove, and stays
   common as long as it goes on being heard. Tones, silence, music on hold, announcements and conferences are common.
2. A match counts only after it has stood for `RIPE_SECONDS`: whoever else hears the same hears it by then.
3. A pair needs `MATCHES_EACH_WAY` ripe ones in each direction, they must span `SPAN_SECONDS`, and most of what either
   client said of late must have been heard by the other, most of what it heard must have been said there: as long as
   the pair is asked for. Else losses would make a pair of two among many; who only listens, as a supervisor does, would
   be the partner of somebody who does not know; and two who were led apart would stay a pair while they are silent to
   each other.
4. A ripe match that speaks for another pair is a contradiction, and so is a payload that goes from one client to two
   others: what was proven of all three is forgotten and must be proven anew.
5. A client that gets its own payload back is in an echo test, and is never half of a pair.
6. What is short of a proof is still a doubt about anybody else (`denies`), and overrules weaker evidence than payloads.

All streams must be sampled alike, by what is in the payload (`sampled`): if each took its own choice, a payload heard
by three could look as if two had heard it. The two laws of G.711 count as one (`hash_of`): a server that makes
one the other changes every byte by a table, and what is left is the same. Of a byte in either law the top bit is the
sign and stays, so that is all that `sampled` may look at.

What cannot be seen: a listener for whom the server transcodes otherwise. Two members of a conference may look like a
pair if all others use another codec; who knows that it is a conference must not ask.

Sans-I/O; `now` and `at` are monotonic seconds. Payloads are known by 64-bit hashes that nobody outside can compute.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from haproxy_voip.rtp.flow import Side
from haproxy_voip.rtp.g711 import A_LAW, ALIKE, MU_LAW

# A server passes a packet on within its jitter buffer. Later is an answer or a recording, no conversation.
WINDOW_SECONDS = 0.3
# Longer than the window, so that all who hear a payload have heard it.
RIPE_SECONDS = 0.5
# How long a payload is remembered after it was last heard: longer than tones and music take to repeat a packet, and
# than an announcement takes to begin again for the next caller.
MEMORY_SECONDS = 30.0
# Independent: one match by accident takes a collision of 64 bits or a payload that is common elsewhere.
MATCHES_EACH_WAY = 4
MATCHES_ECHO = 8
SPAN_SECONDS = 0.5
# What a second of 10,000 streams brings, sampled. The oldest give way; then less is known, never something wrong.
MAX_PAYLOADS = 131_072
# Streams with evidence; twice what one relay carries.
MAX_STREAMS = 32_768
# Matches kept for each direction of a pair, and payloads of each client and to it: more prove nothing more.
KEPT = 16
# Of the last rare payloads of a client and to it, what its partner must have heard and said. Where three hear each
# other and a share p of packets is lost, p(1-p) seem to lead to one alone: a quarter at most.
MOST = 0.7

# One payload in so many is looked at.
SAMPLE_ONE_IN = 8
# Shorter is comfort noise, a telephone event, or DTX: always common.
MIN_PAYLOAD_BYTES = 16

# RFC 3551 section 6: payload types of G.711, which keep their numbers. Under a dynamic one the law cannot be told.
ONE_LAW: Final = {0: ALIKE[MU_LAW], 8: ALIKE[A_LAW]}


def hash_of(payload_type: int, payload: bytes) -> int:
    """What a payload is known by, in whichever law.

    Python keys its hash of bytes anew for each process: nobody outside can make two payloads collide.
    """
    return hash(payload.translate(ONE_LAW.get(payload_type)))


# So much of a payload is looked at: 8 ms of G.711. What differs only afterwards is taken for common, never for rare.
PRINT_BYTES = 64
SIGNS = int.from_bytes(b"\x80" * PRINT_BYTES, "little")
# Modulo this, 65 places up are none: the n-th eight bytes, 64 n places up, come to lie n places below the first.
# Of each byte one bit is left, so that none meets another.
GATHER = (1 << 65) - 1
MASK_64 = (1 << 64) - 1
SAMPLED_BELOW = (1 << 64) // SAMPLE_ONE_IN
# As Python keys its hash of bytes anew for each process, nobody outside can choose what is sampled.
SAMPLING_KEY = hash(b"which payloads are looked at") & MASK_64 | 1


def sampled(payload: bytes | memoryview) -> bool:
    """Whether a payload is looked at: the same answer for every stream, in both laws, and in the kernel (relay.bpf.c).

    Its signs are gathered into 64 bits, which multiply-shift hashing spreads.
    """
    signs = (int.from_bytes(payload[:PRINT_BYTES], "little") & SIGNS) % GATHER
    return (signs ^ SAMPLING_KEY) * SAMPLING_KEY & MASK_64 < SAMPLED_BELOW


def sampled_by_hash(payload_hash: int) -> bool:
    """The same where the kernel relays nothing, at half the price: by what `hash_of` says, which is alike as well."""
    return payload_hash % SAMPLE_ONE_IN == 0


class Print(NamedTuple):
    """A payload was heard."""

    stream: int
    side: Side
    payload_hash: int
    at: float


@dataclass(slots=True)
class Heard:
    """What is known of one payload."""

    client: int | None = None  # the stream whose client sent it
    backend: int | None = None  # the stream on which a server sent it
    first_at: float = 0.0
    last_at: float = 0.0
    common: bool = False
    match: Match | None = None  # what it seems to prove
    shared: bool = False  # common because two heard the client


@dataclass(slots=True)
class Match:
    """The client of `talker` was heard on `listener`."""

    talker: int
    listener: int
    at: float
    void: bool = False  # taken back


@dataclass(slots=True)
class Evidence:
    """Ripe matches between two streams, by who talked; the key of a pair is its lower number first."""

    by_talker: dict[int, deque[Match]] = field(default_factory=dict)
    proven: bool = False  # once it sufficed; it stays so while it does and nobody speaks elsewhere

    def by(self, talker: int) -> deque[Match]:
        """One direction."""
        return self.by_talker.setdefault(talker, deque(maxlen=KEPT))

    def standing(self) -> list[list[Match]]:
        """What has not been taken back, by direction."""
        kept = ([match for match in matches if not match.void] for matches in self.by_talker.values())
        return [matches for matches in kept if matches]

    def suffices(self) -> bool:
        """Whether there is enough of it."""
        standing = self.standing()
        times = [match.at for matches in standing for match in matches]
        if not times or max(times) - min(times) < SPAN_SECONDS:
            return False
        echo = standing[0][0].talker == standing[0][0].listener
        enough, ways = (MATCHES_ECHO, 1) if echo else (MATCHES_EACH_WAY, 2)
        return len(standing) == ways and all(len(matches) >= enough for matches in standing)

    def holds(self) -> bool:
        """Whether it proves the pair, if nothing speaks against it."""
        return self.proven and self.suffices()


class Fingerprints:
    """What has been heard on all streams, and what follows from it."""

    __slots__ = ("_anew_at", "_evidence", "_last", "_payloads", "_ripening", "_said", "_told")

    def __init__(self) -> None:
        self._payloads: dict[int, Heard] = {}  # the one not heard for longest first
        self._ripening: deque[Match] = deque()  # in the order of their times
        self._evidence: dict[int, dict[int, Evidence]] = {}  # by either stream, then by the other; its own: echo
        self._anew_at: dict[int, float] = {}  # streams of which nothing older counts; the latest last
        self._said: dict[int, deque[Heard]] = {}  # by each client, the latest last
        self._told: dict[int, deque[Heard]] = {}  # to each client, by the server
        self._last = 0.0

    def heard(self, stream: int, side: Side, payload_hash: int, now: float) -> None:
        """A payload arrived on this side of this stream. Give them in the order of their times."""
        self.advance(now)
        known = self._payloads.pop(payload_hash, None)
        if known is None:
            known = Heard(first_at=now)
        self._payloads[payload_hash] = known
        known.last_at = now
        if not known.common:
            self._judge(known, stream, side, now)
        if len(self._payloads) > MAX_PAYLOADS:
            self._payloads.pop(next(iter(self._payloads)))

    def advance(self, now: float) -> None:
        """Time passes: matches ripen, payloads are forgotten."""
        self._last = now = max(now, self._last)
        while self._ripening and self._ripening[0].at <= now - RIPE_SECONDS:
            match = self._ripening.popleft()
            if not match.void:
                self._believe(match)
        while self._payloads:
            oldest = next(iter(self._payloads))
            if self._payloads[oldest].last_at > now - MEMORY_SECONDS:
                break
            del self._payloads[oldest]

    def partner_of(self, stream: int) -> int | None:
        """The stream whose client this one's talks with; None when that is not certain."""
        pairs = self._standing(stream)
        if len(pairs) != 1:
            return None
        partner, evidence = pairs[0]
        if partner == stream or len(self._standing(partner)) != 1 or not evidence.holds():
            return None
        return partner if self._mostly(stream, partner) else None

    def denies(self, stream: int, other: int) -> bool:
        """Whether anything speaks against these two: one of them was heard elsewhere, or heard somebody else."""
        return not (self._only(stream, other) and self._only(other, stream))

    def is_echo(self, stream: int) -> bool:
        """Whether the server sends this client its own voice back."""
        pairs = self._standing(stream)
        return len(pairs) == 1 and pairs[0][0] == stream and pairs[0][1].holds()

    def pairs(self) -> list[tuple[int, int]]:
        """All pairs that are certain, the lower number first."""
        found = ((stream, self.partner_of(stream)) for stream in self._evidence)
        return sorted((stream, partner) for stream, partner in found if partner is not None and stream < partner)

    def forget(self, stream: int) -> None:
        """The stream ended, or signalling says that it may lead elsewhere now: what was known of it counts no more."""
        self._contradict(self._last, stream)
        self._said.pop(stream, None)
        self._told.pop(stream, None)

    def missed(self) -> None:
        """Some payloads were heard and not told: what seemed rare may not have been."""
        for match in self._ripening:
            match.void = True
        for known in self._payloads.values():
            known.common = True

    # ------------------------------------------------------------------------------------------------

    def _judge(self, known: Heard, stream: int, side: Side, now: float) -> None:
        """Rules 1 and 5 for a payload that was not common until now."""
        if side == "client":
            if known.client is None and known.backend is None:
                known.client = stream
                _remember(self._said, stream, known)
            else:
                self._make_common(known)
        elif known.client is None or known.backend is not None:
            within = now - known.first_at <= WINDOW_SECONDS
            if known.client is not None and known.backend is not None and known.backend != stream and within:
                known.shared = True
                self._contradict(now, known.client, known.backend, stream)
            elif known.backend is None:
                _remember(self._told, stream, known)
            self._make_common(known)
        else:
            known.backend = stream
            _remember(self._told, stream, known)
            if now - known.first_at <= WINDOW_SECONDS:
                known.match = Match(known.client, stream, now)
                self._ripening.append(known.match)
            else:
                known.common = True  # a recording

    def _make_common(self, known: Heard) -> None:
        known.common = True
        match, known.match = known.match, None
        if match is not None:
            match.void = True

    def _believe(self, match: Match) -> None:
        """Rule 4, then count it."""
        talker, listener = match.talker, match.listener
        if match.at <= max(self._anew_at.get(talker, 0.0), self._anew_at.get(listener, 0.0)):
            return
        if self._only(talker, listener) and self._only(listener, talker):
            evidence = self._between(talker, listener)
            evidence.by(talker).append(match)
            if not evidence.proven and evidence.suffices():
                evidence.proven = self._mostly(talker, listener)
        else:
            self._contradict(match.at, talker, listener)

    def _mostly(self, one: int, other: int) -> bool:
        """Whether most of what each said was heard by the other alone, and most of what it heard was said there."""
        standing = self._between(one, other).standing()
        since = min((match.at for matches in standing for match in matches), default=0.0) - WINDOW_SECONDS
        ways = ((one, other), (other, one))
        return all(self._reached(*way) and self._came(*way, since) for way in ways)

    def _reached(self, talker: int, listener: int) -> bool:
        said = [
            known.match is not None and known.match.listener == listener
            for known in self._said.get(talker, ())
            # The latest may be on its way.
            if known.first_at <= self._last - WINDOW_SECONDS and (known.shared or not known.common)
        ]
        return sum(said) >= MOST * len(said)

    def _came(self, talker: int, listener: int, since: float) -> bool:
        """Since they were first heard to talk: before that there may have been music or an announcement."""
        told = [
            known.match is not None and known.match.talker == talker
            for known in self._told.get(listener, ())
            # What came from a server first is common, and from elsewhere.
            if known.first_at >= since and (known.client is None or not known.common)
        ]
        return sum(told) >= MOST * len(told)

    def _contradict(self, at: float, *streams: int) -> None:
        """Start anew with these: what was heard until then counts no more."""
        for stream in streams:
            self._anew_at[stream] = max(at, self._anew_at.pop(stream, 0.0))
            self._unlink_all(stream)
        while len(self._anew_at) > MAX_STREAMS:
            self._anew_at.pop(next(iter(self._anew_at)))

    def _unlink_all(self, stream: int) -> None:
        for other in list(self._evidence.get(stream, {})):
            self._unlink(other, stream)
            self._unlink(stream, other)

    def _between(self, first: int, second: int) -> Evidence:
        evidence = self._evidence.get(first, {}).get(second)
        if evidence is None:
            self._unlink_all(first)  # what stood there has been taken back entirely
            self._unlink_all(second)
            evidence = self._evidence.setdefault(first, {})[second] = Evidence()
            self._evidence.setdefault(second, {})[first] = evidence
            while len(self._evidence) > MAX_STREAMS:
                self._unlink_all(next(iter(self._evidence)))
        return evidence

    def _unlink(self, stream: int, other: int) -> None:
        links = self._evidence.get(stream)
        if links is not None:
            links.pop(other, None)
            if not links:
                del self._evidence[stream]

    def _only(self, stream: int, other: int) -> bool:
        """Whether nothing speaks for anybody else."""
        links = self._evidence.get(stream, {})
        return all(known == other or not evidence.standing() for known, evidence in links.items())

    def _standing(self, stream: int) -> list[tuple[int, Evidence]]:
        return [(other, evidence) for other, evidence in self._evidence.get(stream, {}).items() if evidence.standing()]


def _remember(where: dict[int, deque[Heard]], stream: int, known: Heard) -> None:
    latest = where.get(stream)
    if latest is None:
        latest = where[stream] = deque(maxlen=KEPT)
        if len(where) > MAX_STREAMS:
            where.pop(next(iter(where)))
    latest.append(known)
