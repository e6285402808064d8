"""The program that is shipped is what its source says, and knows the same numbers as the modules around it."""

import re
import struct
import subprocess
from pathlib import Path

import pytest

from haproxy_voip.edge import kernel_relay as module
from haproxy_voip.edge.kernel_flow import NANOSECONDS, PASS_UP, PAYLOAD_TYPES
from haproxy_voip.edge.kernel_relay import MAX_FLOWS, OBJECT, RING_BYTES
from haproxy_voip.edge.media_leg import MAX_DATAGRAM
from haproxy_voip.edge.routes import LOOPBACK_INDEX
from haproxy_voip.rtp.fingerprint import MIN_PAYLOAD_BYTES, PRINT_BYTES, SAMPLED_BELOW
from haproxy_voip.rtp.header import FIXED_BYTES
from haproxy_voip.rtp.sequence import MAX_DROPOUT, MAX_MISORDER, SEQUENCES
from tests.edge.kernel_scene import kernel_relay
from tests.edge.relay_cases import CASES
from tests.edge.relay_program import play
from tests.tidy.source import ROOT

SOURCE, HEADER = OBJECT.with_suffix(".c"), OBJECT.with_suffix(".h")
MADE_WITH = "clang version 14."

SHARED = {
    "MAX_FLOWS": MAX_FLOWS,
    "PRINT_RING_BYTES": RING_BYTES,
    "LOOPBACK": LOOPBACK_INDEX,
    "MAX_DATAGRAM": MAX_DATAGRAM,
    "NANOSECONDS": NANOSECONDS,
    "SEQUENCES": SEQUENCES,
    "MAX_DROPOUT": MAX_DROPOUT,
    "MAX_MISORDER": MAX_MISORDER,
    "RTP_BYTES": FIXED_BYTES,
    "PASS_UP": PASS_UP,
    "MIN_PAYLOAD_BYTES": MIN_PAYLOAD_BYTES,
    "PRINT_BYTES": PRINT_BYTES,
    "SAMPLED_BELOW": SAMPLED_BELOW,
}


def test_both_languages_have_the_same_numbers() -> None:
    text = HEADER.read_text(encoding="utf-8") + SOURCE.read_text(encoding="utf-8")
    said = dict(re.findall(r"^#define (\w+)\s+(\(.*?\)|\S+)", text, re.MULTILINE))
    for name, value in SHARED.items():
        number = re.sub(r"(?<=\d)(ULL|U)", "", said[name]).strip("()")
        first, _, shift = number.partition(" << ")
        assert int(first, 0) << int(shift or 0) == value, name
    assert f"payload_types[{PAYLOAD_TYPES}]" in text


@pytest.mark.interop
def test_made_anew_it_does_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    anew = tmp_path / OBJECT.name
    flags = subprocess.run(
        ["make", "-s", "-C", ROOT, "relay-flags"], check=True, capture_output=True, text=True, timeout=20
    ).stdout.split()
    subprocess.run(["clang", *flags, "-c", SOURCE, "-o", anew], check=True, cwd=ROOT, timeout=60)
    said = subprocess.run(["clang", "--version"], check=True, capture_output=True, text=True, timeout=20).stdout
    if MADE_WITH in said:  # another compiler may write it otherwise
        assert section(anew.read_bytes(), "tc") == section(OBJECT.read_bytes(), "tc"), "make relay has been forgotten"
    monkeypatch.setattr(module, "OBJECT", anew)
    with kernel_relay() as relay:
        for case in CASES:
            for host in ("127.0.0.1", "::1"):
                play(case, host, relay)


SECTION_HEADER = struct.Struct("<IIQQQQIIQQ")


def section(elf: bytes, name: str) -> bytes:
    """The contents of one section of a 64-bit ELF file, little-endian."""
    (table,) = struct.unpack_from("<Q", elf, 0x28)
    size, count, names = struct.unpack_from("<HHH", elf, 0x3A)
    headers = [SECTION_HEADER.unpack_from(elf, table + size * index) for index in range(count)]
    strings = headers[names][4]
    for header in headers:
        begin = strings + header[0]
        if elf[begin : elf.index(b"\0", begin)].decode() == name:
            return elf[header[4] : header[4] + header[5]]
    raise AssertionError(name)
