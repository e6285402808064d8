"""Records that the kernel writes into shared memory, read where they are. A file stands for the kernel's memory."""

import mmap
import os
from pathlib import Path

import pytest

from haproxy_voip.edge.ring_buffer import BUSY, DISCARDED, HEADER, POSITION, RingBuffer

SIZE = mmap.PAGESIZE
PAGE = mmap.PAGESIZE


class Writer:
    """As the kernel writes, with the data twice in a row."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(2 * PAGE + 2 * SIZE))
        self.fd = os.open(path, os.O_RDWR)
        self.at = 0

    def write(self, data: bytes, flags: int = 0) -> int:
        begin = self.at
        for place, byte in enumerate(HEADER.pack(len(data) | flags, 0) + data):
            for half in (0, SIZE):
                os.pwrite(self.fd, bytes([byte]), 2 * PAGE + half + (begin + place) % SIZE)
        self.at += (HEADER.size + len(data) + 7) & ~7
        os.pwrite(self.fd, POSITION.pack(self.at), PAGE)
        return begin

    @property
    def read_until(self) -> int:
        found: int = POSITION.unpack(os.pread(self.fd, POSITION.size, 0))[0]
        return found


@pytest.fixture
def writer(tmp_path: Path):
    made = Writer(tmp_path / "ring")
    yield made
    os.close(made.fd)


@pytest.fixture
def ring(writer: Writer):
    opened = RingBuffer(writer.fd, SIZE)
    yield opened
    opened.close()


def read(ring: RingBuffer) -> list[bytes]:
    return [bytes(record) for record in ring.records()]


def test_records_are_read_once_in_their_order(ring: RingBuffer, writer: Writer) -> None:
    assert read(ring) == []
    for data in (b"one", b"", b"three of them"):
        writer.write(data)
    assert read(ring) == [b"one", b"", b"three of them"]
    assert read(ring) == [] and writer.read_until == writer.at


def test_a_record_over_the_end_is_in_one_piece(ring: RingBuffer, writer: Writer) -> None:
    for turn in range(200):
        data = bytes([turn]) * 100
        writer.write(data)
        assert read(ring) == [data]
    assert writer.at > 4 * SIZE


def test_what_was_discarded_is_passed_over(ring: RingBuffer, writer: Writer) -> None:
    writer.write(b"one", DISCARDED)
    writer.write(b"two")
    assert read(ring) == [b"two"]


def test_what_is_still_being_written_is_waited_for(ring: RingBuffer, writer: Writer) -> None:
    writer.write(b"one")
    begun = writer.write(b"two", BUSY)
    writer.write(b"three")
    assert read(ring) == [b"one"]
    for half in (0, SIZE):
        os.pwrite(writer.fd, HEADER.pack(3, 0), 2 * PAGE + half + begun)
    assert read(ring) == [b"two", b"three"]


def test_a_reader_that_stops_half_way_goes_on_there(ring: RingBuffer, writer: Writer) -> None:
    for data in (b"one", b"two", b"three"):
        writer.write(data)
    for record in ring.records():
        if bytes(record) == b"two":
            break
    assert read(ring) == [b"two", b"three"]  # it was not done with the second
