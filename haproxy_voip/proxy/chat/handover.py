"""Sessions that leave a server that is well: all of them together, when it has everything that any of them was sent.

Whoever left earlier would miss what others had sent there last: messages for it, and copies of messages.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from haproxy_voip.proxy.chat.session import Session


class Handover:
    """Who is about to leave which backend."""

    __slots__ = ("_leaving", "_waiting")

    def __init__(self) -> None:
        self._leaving: defaultdict[str, dict[Session, None]] = defaultdict(dict)
        self._waiting: defaultdict[str, dict[Session, None]] = defaultdict(dict)  # of these, for an acknowledgement

    def begin(self, session: Session, backend: str, *, ready: bool) -> None:
        """It wants to leave; `ready`: the backend has all it was sent."""
        self._leaving[backend][session] = None
        if not ready:
            self._waiting[backend][session] = None

    def ready(self, session: Session, backend: str) -> None:
        """Now the backend has all it was sent."""
        self._waiting[backend].pop(session, None)

    def end(self, session: Session, backend: str) -> None:
        """It has left, or waits no longer."""
        self._leaving[backend].pop(session, None)
        self._waiting[backend].pop(session, None)

    def take(self) -> list[Session]:
        """Who may go; they are not here any more."""
        due = [backend for backend in self._leaving if not self._waiting[backend]]
        return [session for backend in due for session in self._leaving.pop(backend)]
