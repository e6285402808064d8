"""Reliable provisional responses on their way across (RFC 3262).

Each early dialog counts its RSeq by itself, as it must see no gap, whichever backend a response came from. So a
PRACK names its response in words of one leg, and is translated for the other.
"""

from __future__ import annotations

from haproxy_voip.sip.headers import RAck

# Responses remembered in one dialog. The next one waits for the PRACK of the last, so few are ever meant.
MAX_RELIABLE = 32


class Reliable:
    """The provisional responses sent on one leg: RAck as its peer will write it, and as the far side needs it."""

    __slots__ = ("_acknowledged", "_across", "_last")

    def __init__(self) -> None:
        self._across: dict[str, str | None] = {}  # None: whom it came from is gone
        self._last = 0  # RSeq; section 3: from 1 on
        self._acknowledged = 0

    @property
    def acknowledged(self) -> bool:
        """Whether the peer acknowledged any."""
        return self._acknowledged > 0

    def number(self, theirs: RAck | None, cseq: int) -> int:
        """The RSeq for a response to our peer's INVITE with this CSeq; the same again for a retransmission.

        `theirs` is how the far side wants it acknowledged; None when it is a response of our own.
        """
        if theirs is not None:
            known = next((ours for ours, rack in self._across.items() if rack == str(theirs)), None)
            if known is not None:
                return RAck.parse(known).rseq
        self._last += 1
        self._across[str(RAck(self._last, cseq, "INVITE"))] = None if theirs is None else str(theirs)
        while len(self._across) > MAX_RELIABLE:
            del self._across[next(iter(self._across))]
        return self._last

    def acknowledge(self, rack: RAck) -> str | None:
        """The PRACK came: RAck for the far side, or None when nobody there waits for it."""
        self._acknowledged = max(self._acknowledged, rack.rseq)
        self._last = max(self._last, rack.rseq)
        return self._across.get(str(rack))

    def nobody_waits(self, rack: RAck) -> bool:
        """Whether this PRACK is for a response of somebody who is gone, or of ours: then it is ours to answer."""
        return str(rack) in self._across and self.acknowledge(rack) is None

    def restart(self) -> None:
        """Another far side goes on where the peer's last PRACK was; what the former one sent is nobody's now."""
        self._last = self._acknowledged
        self._across = dict.fromkeys(self._across)
