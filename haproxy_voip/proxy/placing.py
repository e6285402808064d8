"""Where calls are placed: the choice among the backends (cluster/choice.py), told of the calls that are there.

Who has a call gets the next one at the same backend if it can be, and an INVITE that replaces a call goes where that
one is: no other backend knows it. So do calls of one caller that leave a dead backend.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from haproxy_voip.cluster.choice import Choice, NoBackend
from haproxy_voip.proxy.call import Call
from haproxy_voip.proxy.shared import Shared
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.headers import Replaces
from haproxy_voip.sip.message import Request

if TYPE_CHECKING:
    from haproxy_voip.proxy.invitation import Invitation


class Placing:
    """The calls by user, whether they called or were called; a trunk's have none."""

    __slots__ = ("_by_user", "_choice", "_shared")

    def __init__(self, shared: Shared, choice: Choice) -> None:
        self._shared = shared
        self._choice = choice
        self._by_user: dict[str, dict[Call, None]] = {}

    def add(self, call: Call) -> None:
        """It began."""
        if call.user:
            self._by_user.setdefault(call.user, {})[call] = None

    def remove(self, call: Call) -> None:
        """It ended."""
        calls = self._by_user.get(call.user, {})
        calls.pop(call, None)
        if not calls:
            self._by_user.pop(call.user, None)

    # -- choosing -----------------------------------------------------------------------------------

    def choose(self, user: str, number: str, request: Request, now: float) -> str:
        """The backend for this INVITE of a user, or for this number if it has none. Raises MessageError."""
        near = [*self._replaced(request), *self._where(user)]
        return self._chosen(user or number, near, now)

    def instead(self, callee: Invitation, now: float) -> str:
        """The backend for a call that waited for one which cannot take it any more. Raises MessageError."""
        return self._chosen(callee.key, self._where(callee.user), now)

    def another(self, call: Call) -> str | None:
        """Where to call next: usable, and not asked before for this call."""
        near = (backend for backend in self._where(call.user) if backend != call.backend)
        return self._choice.another(call.callee.key, call.tried, self._shared.now, near)

    def takes(self, backend: str) -> bool:
        """Whether it may get a call now."""
        return self._choice.takes(backend)

    def placed(self, backend: str) -> None:
        """A call of a client was."""
        self._choice.placed(backend, self._shared.now)

    def _chosen(self, key: str, near: Iterable[str], now: float) -> str:
        try:
            return self._choice.choose(key, now, near)
        except NoBackend as error:
            raise MessageError(str(error), status=503) from None

    def _where(self, user: str) -> Iterator[str]:
        """The backends of this user's calls, the latest first."""
        return (call.backend for call in reversed(self._by_user.get(user, {})))

    def _replaced(self, request: Request) -> list[str]:
        """Where the call is that this INVITE replaces (RFC 3891) or joins (RFC 3911)."""
        legs = self._shared.legs
        found = []
        for name in ("replaces", "join"):
            with suppress(MessageError):  # the recipient says what is wrong with it
                meant = Replaces.parse(request.get(name) or "")
                leg = legs.find(meant.call_id, meant.to_tag, meant.from_tag)
                leg = leg or legs.find(meant.call_id, meant.from_tag, meant.to_tag)
                if leg is not None and isinstance(leg.bridge, Call):
                    found.append(leg.bridge.backend)
        return found
