"""SIP messages as ordinary phones and servers write them."""

from __future__ import annotations

import hashlib
import re

from .proxy import DOMAIN, ha1

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK, INFO, REFER, NOTIFY, SUBSCRIBE, MESSAGE"
AGENT = "Benchmark/1.0 (desk phone)"
Place = tuple[str, int]

_CHALLENGE = re.compile(r'^(WWW|Proxy)-Authenticate: Digest .*?nonce="([^"]+)".*?algorithm=MD5', re.MULTILINE)
_COPIED = ("Via:", "Record-Route:", "From:", "To:", "Call-ID:", "CSeq:")

SDP = """\
v=0
o=- {number} {number} IN IP4 {host}
s=-
c=IN IP4 {host}
t=0 0
m=audio {port} RTP/AVP 9 8 0 101
a=rtpmap:9 G722/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=ptime:20
a=sendrecv
""".replace("\n", "\r\n")


def sdp(place: Place, number: int) -> str:
    """Audio at a port where nobody is: the call is silent."""
    return SDP.format(number=number, host=place[0], port=30_000 + number % 10_000 * 2)


def message(lines: list[str], body: str = "") -> bytes:
    """Start line and headers, and a body with what describes it."""
    kind = ["Content-Type: application/sdp"] if body else []
    return "\r\n".join([*lines, *kind, f"Content-Length: {len(body)}", "", body]).encode()


def options(place: Place, number: int) -> bytes:
    """A phone asks whether we are there."""
    return message([*_request("OPTIONS", f"sip:{DOMAIN}", place, f"ping-{number}", 1), "Accept: application/sdp"])


def register(place: Place, name: str, sequence: int, credentials: str | None) -> bytes:
    """A phone registers its contact, or refreshes it."""
    lines = _request("REGISTER", f"sip:{DOMAIN}", place, f"registration-of-{name}", sequence, name)
    lines += [f"Contact: <sip:{name}@{place[0]}:{place[1]}>;expires=3600", f"Allow: {ALLOW}", "Supported: path"]
    return message(lines if credentials is None else [*lines, f"Authorization: {credentials}"])


def invite(place: Place, call: str, name: str, sequence: int, credentials: str | None) -> bytes:
    """A phone calls somebody."""
    lines = _request("INVITE", f"sip:5{name}@{DOMAIN}", place, call, sequence, name)
    lines += [f"Contact: <sip:{name}@{place[0]}:{place[1]}>", f"Allow: {ALLOW}", "Supported: replaces, timer"]
    if credentials is not None:
        lines.append(f"Proxy-Authorization: {credentials}")
    return message(lines, sdp(place, int(name)))


def in_dialog(method: str, place: Place, response: str, sequence: int) -> bytes:
    """An ACK or a BYE in the dialog this 2xx made."""
    contact = _value(response, "Contact").strip("<>")
    call = _value(response, "Call-ID").partition("@")[0]
    lines = _request(method, contact, place, call, sequence)
    kept = [line for line in lines if not line.startswith(("From:", "To:"))]
    return message([*kept, f"From: {_value(response, 'From')}", f"To: {_value(response, 'To')}"])


def ack_to_failure(invitation: bytes, response: str, sequence: int) -> bytes:
    """The ACK of a challenge: its branch is the INVITE's (RFC 3261 section 17.1.1.3)."""
    start, via, *_ = invitation.decode().split("\r\n")
    copied = [f"{name}: {_value(response, name)}" for name in ("From", "To", "Call-ID")]
    first = start.replace("INVITE", "ACK", 1)
    return message([first, via, *copied, f"CSeq: {sequence} ACK", "Max-Forwards: 70"])


def answer(request: str, status: str, place: Place, tag: str, body: str = "") -> bytes:
    """A server's response."""
    copied = [line for line in request.split("\r\n") if line.startswith(_COPIED)]
    tagged = [f"{line};tag={tag}" if line[:3] == "To:" and ";tag=" not in line else line for line in copied]
    lines = [f"SIP/2.0 {status}", *tagged, f"Contact: <sip:{place[0]}:{place[1]}>", f"Allow: {ALLOW}"]
    return message([*lines, "Server: Benchmark/1.0 (exchange)", "Supported: replaces, timer"], body)


def nonce_of(response: str) -> str:
    """The nonce of a challenge."""
    found = _CHALLENGE.search(response)
    if found is None:
        raise SystemExit(f"no MD5 challenge in\n{response}")
    return found[2]


def digest(nonce: str, method: str, uri: str, name: str, count: int) -> str:
    """Digest credentials with qop (RFC 7616 section 3.4)."""
    a2 = _md5(f"{method}:{uri}")
    proof = _md5(f"{ha1(name)}:{nonce}:{count:08x}:0a4f113b:auth:{a2}")
    return (
        f'Digest username="{name}", realm="{DOMAIN}", nonce="{nonce}", uri="{uri}", response="{proof}", '
        f'algorithm=MD5, cnonce="0a4f113b", qop=auth, nc={count:08x}'
    )


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def _value(text: str, name: str) -> str:
    return next((line.partition(": ")[2] for line in text.split("\r\n") if line.startswith(f"{name}: ")), "")


def _request(method: str, uri: str, place: Place, call: str, sequence: int, name: str = "1000") -> list[str]:
    return [
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/UDP {place[0]}:{place[1]};branch=z9hG4bK-{method}-{call}-{sequence};rport",
        "Max-Forwards: 70",
        f'From: "Phone {name}" <sip:{name}@{DOMAIN}>;tag=f{call}',
        f"To: <sip:{name if method == 'REGISTER' else f'5{name}'}@{DOMAIN}>",
        f"Call-ID: {call}@{place[0]}",
        f"CSeq: {sequence} {method}",
        f"User-Agent: {AGENT}",
    ]
