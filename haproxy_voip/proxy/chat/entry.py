"""A stanza of a client's on its way to a backend."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from html import unescape
from typing import TYPE_CHECKING

from haproxy_voip.xmpp.framing import Stanza
from haproxy_voip.xmpp.jid import Jid

if TYPE_CHECKING:
    from haproxy_voip.proxy.chat.session import Session

# What tells one stanza from another wherever it comes out again: its name, whether it answers something, its id, the
# bare address of the user or room it was for, and what it says, because not every client's ids are unique.
Key = tuple[str, bool, str, str, bytes]

MARK_BYTES = 8
# A UUID has 36; longer ones are remembered by their mark.
MAX_ID_CHARACTERS = 64


@dataclass(slots=True, eq=False)
class Entry:
    """Kept until nobody will ask for it any more. `raw` is what is sent, which may be more than the client wrote."""

    stanza: Stanza | None  # None: our own, of which nobody is told
    raw: bytes
    serial: int = 0  # the order in which the client sent them
    number: int = 0  # as the client counts it; 0 when it does not count
    at: float = 0.0  # when the client sent it
    peer: str = ""  # the bare address it is for; "" is the user's own server or account
    sends: int = 0
    acknowledged: bool = False
    answered: bool = False  # an iq: its result came
    outlived: bool = False  # the server it was sent to is gone
    seen: list[Session] = field(default_factory=list)  # sessions of ours that had it from their backend

    @property
    def key(self) -> Key | None:
        """None when it cannot be followed."""
        stanza = self.stanza
        if stanza is None or stanza.name == "presence" or stanza.id is None:
            return None
        return key_of(stanza, self.peer)

    @property
    def size(self) -> int:
        """Its bytes, as the client wrote it."""
        return 0 if self.stanza is None else len(self.stanza.raw)

    @property
    def is_request(self) -> bool:
        """An iq that wants an answer."""
        return self.stanza is not None and self.stanza.name == "iq" and self.stanza.type in ("get", "set")


def key_of(stanza: Stanza, peer: str) -> Key:
    """`peer` is the bare address it was for."""
    said = mark(body_of(stanza)) if stanza.name == "message" else b""
    return stanza.name, stanza.type in ("result", "error"), brief(stanza.id or ""), peer, said


def brief(id: str) -> str:
    """An id as it is remembered: whoever makes long ones shall not fill our memory."""
    return id if len(id) <= MAX_ID_CHARACTERS else mark(id).hex()


def mark(text: str) -> bytes:
    """Short for a text."""
    return hashlib.blake2b(text.encode(), digest_size=MARK_BYTES).digest() if text else b""


def body_of(stanza: Stanza) -> str:
    """What a message says; the way servers escape it left out of account."""
    start, end = stanza.raw.find(b"<body>"), stanza.raw.find(b"</body>")
    if 0 < start < end:
        return unescape(stanza.raw[start + len(b"<body>") : end].decode())
    if b"<body" not in stanza.raw:
        return ""
    body = stanza.element().find("body")
    return "" if body is None else body.text


def own(raw: bytes) -> Entry:
    """A stanza of ours."""
    return Entry(None, raw)


def bare_of(address: str | None) -> str:
    """The bare address as everybody compares it; "" for none, or one that is malformed (its server will say so)."""
    if not address:
        return ""
    try:
        return str(Jid.parse(address).bare)
    except ValueError:
        return ""
