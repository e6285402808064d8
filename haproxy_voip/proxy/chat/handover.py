"""Sessions that leave a server that is well: all of them together, when it has everything that any of them was sent.

Whoever left earlier would miss what others had sent to it, or a copy of that, on their last words there.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from haproxy_voip.proxy.chat.residence import Residence


class Handover:
    """Who is about to leave which backend."""

    __slots__ = ("_leaving", "_waiting")

    def __init__(self) -> None:
        self._leaving: defaultdict[str, dict[Residence, None]] = defaultdict(dict)
        self._waiting: defaultdict[str, dict[Residence, None]] = defaultdict(dict)  # of these, for an acknowledgement

    def begin(self, residence: Residence, backend: str, *, ready: bool) -> None:
        """It wants to leave; `ready`: the backend has all it was sent."""
        self._leaving[backend][residence] = None
        if not ready:
            self._waiting[backend][residence] = None

    def ready(self, residence: Residence, backend: str) -> None:
        """Now the backend has all it was sent."""
        self._waiting[backend].pop(residence, None)

    def end(self, residence: Residence, backend: str) -> None:
        """It has left, or waits no longer."""
        self._leaving[backend].pop(residence, None)
        self._waiting[backend].pop(residence, None)

    def take(self) -> list[Residence]:
        """Who may go; they are not here any more."""
        due = [backend for backend in self._leaving if not self._waiting[backend]]
        return [residence for backend in due for residence in self._leaving.pop(backend)]
