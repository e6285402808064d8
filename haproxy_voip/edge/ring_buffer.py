"""Reading a BPF ring buffer (BPF_MAP_TYPE_RINGBUF, the kernel's Documentation/bpf/ringbuf.rst) without a call into it.

Memory shared with the kernel: a page with the consumer's position, a page with the producer's, and the data, mapped
twice in a row so that a record that goes over the end can be read in one piece.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator

HEADER = struct.Struct("=II")  # length and flags, offset of a page
BUSY, DISCARDED = 1 << 31, 1 << 30
POSITION = struct.Struct("=Q")


class RingBuffer:
    """The reading end; there must be one only."""

    def __init__(self, fd: int, size: int) -> None:
        page = mmap.PAGESIZE
        self._mask = size - 1
        self._consumer = mmap.mmap(fd, page, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, offset=0)
        self._producer = mmap.mmap(fd, page + 2 * size, mmap.MAP_SHARED, mmap.PROT_READ, offset=page)
        self._data = memoryview(self._producer)[page:]

    def records(self) -> Iterator[memoryview]:
        """What was complete when it was asked for; each is good until the next is taken."""
        (end,) = POSITION.unpack_from(self._producer)
        (at,) = POSITION.unpack_from(self._consumer)
        while at < end:
            begin = at & self._mask
            header, _ = HEADER.unpack_from(self._data, begin)
            if header & BUSY:
                return
            size = header & ~(BUSY | DISCARDED)
            begin += HEADER.size
            if not header & DISCARDED:
                yield self._data[begin : begin + size]
            at += (size + HEADER.size + 7) & ~7
            POSITION.pack_into(self._consumer, 0, at)

    def close(self) -> None:
        """Unmap it."""
        self._data.release()
        self._producer.close()
        self._consumer.close()
