"""Hundreds of phones that talk and listen in one thread, and know to the packet what they heard, and when.

A packet of 20 ms is mu-law: ten bytes that say who speaks and which packet it is, in sixteen well separated loudnesses,
then speech that was made from a seed (tests/interop/speech.py). In a conference packets are mixed and say nothing of
themselves; there the speakers are loud, and what is heard is told from comfort noise by its loudness.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from itertools import pairwise

from tests.interop.audio import PACKET_SECONDS, PCMU, SAMPLES_PER_PACKET, ULAW_TO_LINEAR, Address, Ear
from tests.interop.hearing import ANCILLARY_BYTES, SO_TIMESTAMPNS, TIMESPEC
from tests.interop.speech import said

SLOTS = 10  # in which the phones speak one after the other within 20 ms
SYMBOLS = bytes(sign | segment << 4 | 0x08 for sign in (0x00, 0x80) for segment in range(8))
PAIRS = [bytes((SYMBOLS[value >> 4], SYMBOLS[value & 15])) for value in range(256)]
MEANING = bytes(SYMBOLS.index(byte) if byte in SYMBOLS else 0xFF for byte in range(256))
WHO_BYTES, WHICH_BYTES = 4, 6  # a symbol is four bits
MARK_BYTES = WHO_BYTES + WHICH_BYTES
HEADER = struct.Struct("!BBHII")
# Of a whole packet, as the mean of its samples: comfort noise is below 30, a speaker far above.
LOUD = 300
LOUDNESS = [abs(sample) for sample in ULAW_TO_LINEAR]
RECEIVE_BUFFER = 1 << 20

Packet = tuple[float, bytes]  # monotonic time of arrival, by the kernel's clock; payload


@dataclass(slots=True)
class Talker(Ear):
    """One phone's audio. `start` binds it; a `Choir` speaks and listens for it."""

    number: int = 0
    packets: list[Packet] = field(default_factory=list)
    clock: float = 0.0  # what to add to wall-clock for monotonic time
    _speech: bytes = b""
    _who: bytes = b""

    def start(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._socket.bind(self.local)
        self._socket.setblocking(False)
        self.local = self._socket.getsockname()
        self.clock = time.monotonic() - time.time()
        self._speech = said(self.number)
        self._who = PAIRS[self.number >> 8] + PAIRS[self.number & 0xFF]

    def stop(self) -> None:
        if self._socket is not None:
            self._socket.close()

    def speak(self) -> None:
        """The next 20 ms."""
        assert self._socket is not None
        if self.remote is None:
            return
        count = self.sent
        which = PAIRS[count >> 16 & 0xFF] + PAIRS[count >> 8 & 0xFF] + PAIRS[count & 0xFF]
        begin = count * SAMPLES_PER_PACKET % len(self._speech)
        body = self._speech[begin + MARK_BYTES : begin + SAMPLES_PER_PACKET]
        head = HEADER.pack(0x80, PCMU, count & 0xFFFF, count * SAMPLES_PER_PACKET & 0xFFFFFFFF, self.number)
        self.sent = count + 1
        try:
            self._socket.sendto(head + self._who + which + body, self.remote)
        except OSError:
            return  # the socket's buffer is full, or nobody is there: as on a network

    def listen(self) -> None:
        """All that came since."""
        assert self._socket is not None
        receive, keep = self._socket.recvmsg, self.packets.append
        while True:
            try:
                data, ancillary, _, _ = receive(2048, ANCILLARY_BYTES)
            except OSError:
                return
            if data[1] & 0x7F == PCMU and ancillary:
                seconds, nanoseconds = TIMESPEC.unpack_from(ancillary[0][2])
                keep((seconds + nanoseconds / 1e9 + self.clock, data[HEADER.size :]))

    # -- what was heard -----------------------------------------------------------------------------

    def heard_of(self, speaker: int, begin: float, end: float) -> list[tuple[float, int]]:
        """When which packet of this speaker came."""
        found = []
        for at, payload in list(self.packets):
            if begin <= at <= end:
                who, which = marks(payload)
                if who == speaker:
                    found.append((at, which))
        return found

    def heard_loud(self, begin: float, end: float) -> list[float]:
        """When packets came that hold somebody's voice."""
        return [
            at
            for at, payload in list(self.packets)
            if begin <= at <= end and sum(map(LOUDNESS.__getitem__, payload)) > LOUD * len(payload)
        ]


def marks(payload: bytes) -> tuple[int, int]:
    """Who said it, and which packet of theirs it is; -1 when nobody did."""
    meaning = payload[:MARK_BYTES].translate(MEANING)
    if len(meaning) < MARK_BYTES or 0xFF in meaning:
        return -1, -1
    value = int(meaning.hex()[1::2], 16)
    return value >> 4 * WHICH_BYTES, value & (1 << 4 * WHICH_BYTES) - 1


def longest(times: list[float], begin: float, end: float) -> float:
    """The longest time between two of them, the borders included."""
    return max(later - earlier for earlier, later in pairwise([begin, *times, end]))


class Choir:
    """Lets talkers speak every 20 ms, spread over that time, and listens for them."""

    def __init__(self) -> None:
        self._talkers: list[Talker] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="choir")
        self._thread.start()

    def add(self, talker: Talker) -> None:
        """Starts it."""
        talker.start()
        self._talkers.append(talker)

    def forget(self) -> None:
        """What was heard so far."""
        for talker in self._talkers:
            talker.packets = []

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()
        for talker in self._talkers:
            talker.stop()

    def _run(self) -> None:
        beat, slot = time.monotonic(), 0
        while not self._ended.is_set():
            for talker in self._talkers[slot::SLOTS]:
                talker.speak()
            for talker in self._talkers[(slot + SLOTS // 2) % SLOTS :: SLOTS]:
                talker.listen()
            slot = (slot + 1) % SLOTS
            beat += PACKET_SECONDS / SLOTS
            time.sleep(max(0.0, beat - time.monotonic()))


def talker(address: Address, number: int) -> Talker:
    """Not started yet."""
    return Talker(address, 0.0, number=number)
