"""What becomes of each of the 12 messages of RFC 5118: in the parser, and in a running node.

The files are those of the archive in RFC 5118's Appendix A. It is no set of messages as they travel: lines end in LF,
the two of 4.10 lack the empty line after the headers, and what has a body has a Content-Length that does not fit once
lines end in CRLF. `wire` mends this and nothing else, for the RFC calls these messages valid.

`node_status` is as for RFC 4475's messages, for a node that also listens on the addresses these are sent to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.rfc4475 import verdicts as rfc4475

FOLDER = Path(__file__).parent
CONTENT_LENGTH = re.compile(rb"(?<=\nContent-Length: )\d+")


@dataclass(frozen=True, slots=True)
class Verdict(rfc4475.Verdict):
    """One message of RFC 5118."""

    @property
    def data(self) -> bytes:
        """The message as it goes into one datagram."""
        return wire((FOLDER / f"{self.name}.dat").read_bytes())


def wire(archived: bytes) -> bytes:
    """A message of the archive as it travels (RFC 3261 section 7)."""
    head, _, body = archived.rstrip(b"\n").partition(b"\n\n")
    lines = body.replace(b"\n", b"\r\n") + b"\r\n" if body else b""
    head = CONTENT_LENGTH.sub(str(len(lines)).encode(), head)
    return head.replace(b"\n", b"\r\n") + b"\r\n\r\n" + lines


VERDICTS = (
    Verdict("ipv6-good", "4.1", "Valid SIP Message with an IPv6 Reference", None, 401, "brackets where they belong"),
    Verdict(
        "ipv6-bad", "4.2", "Invalid SIP Message with an IPv6 Reference", 400, 400,
        "no brackets in the Request-URI: what would be its port?",
    ),
    Verdict(
        "port-ambiguous", "4.3", "Port Ambiguous in a SIP URI", None, 401,
        "within the brackets 5070 is part of the address, which is not ours",
    ),
    Verdict("port-unambiguous", "4.4", "Port Unambiguous in a SIP URI", None, 401, "5070 is the port"),
    Verdict(
        "via-received-param-with-delim", "4.5", "IPv6 Reference Delimiters in Via Header", None, 481,
        "the grammar knows no brackets in received, which many write; its To tag names no dialog of ours",
    ),
    Verdict(
        "via-received-param-no-delim", "4.5", "IPv6 Reference Delimiters in Via Header", None, 200,
        "received as the grammar has it; anybody may ask us for our OPTIONS",
    ),
    Verdict(
        "ipv6-in-sdp", "4.6", "SIP Request with IPv6 Addresses in Session Description Protocol (SDP) Body", None, 407,
        "SDP has no brackets",
    ),
    Verdict(
        "mult-ip-in-header", "4.7", "Multiple IP Addresses in SIP Headers", None, 481,
        "Via values of both families, one received over IPv4 by who names itself by IPv6; no dialog of ours",
    ),
    Verdict("mult-ip-in-sdp", "4.8", "Multiple IP Addresses in SDP", None, 407, "audio over IPv4, video over IPv6"),
    Verdict(
        "ipv4-mapped-ipv6", "4.9", "IPv4-Mapped IPv6 Addresses", None, 407,
        "addresses like others, however they are spelt",
    ),
    Verdict(
        "ipv6-bug-abnf-3-colons", "4.10", "IPv6 Reference Bug in RFC 3261 ABNF", None, 407,
        "what RFC 3261's grammar makes of [2001:db8::192.0.2.1] must be tolerated, and is the same address",
    ),
    Verdict(
        "ipv6-correct-abnf-2-colons", "4.10", "IPv6 Reference Bug in RFC 3261 ABNF", None, 407, "as RFC 4291 has it"
    ),
)  # fmt: skip
