"""Telephony and chat of a backend that move together (`failover.together`).

Each keeps its own health and its own pool. When one of them has another active backend the other follows, as soon as it
can be there; where several would do, one that both can use is taken. Calls that are established stay where they are.
"""

from __future__ import annotations

from haproxy_voip.proxy.backends import Backends, Judgement
from haproxy_voip.proxy.chat.chat import Chat
from haproxy_voip.proxy.evacuation import Evacuation
from haproxy_voip.proxy.shared import Output


class Together:
    """See the module."""

    def __init__(self, backends: Backends, evacuation: Evacuation, chat: Chat) -> None:
        self._sip = backends
        self._evacuation = evacuation
        self._chat = chat.shared.backends
        self._failovers = chat.shared.failovers
        self._led_by_chat = False  # whose active backend changed last
        self._seen = self._active
        sip, xmpp = self._sip.pool, self._chat.pool
        sip.favours = lambda name: xmpp.can_use(name)
        xmpp.favours = lambda name: sip.can_use(name)

    @property
    def _active(self) -> tuple[str | None, str | None]:
        return self._sip.pool.active, self._chat.pool.active

    def follow(self, now: float) -> list[Output]:
        """To be called after every step."""
        sip, chat = active = self._active
        if active != self._seen:
            if sip == self._seen[0]:
                self._led_by_chat = True
            elif chat == self._seen[1]:
                self._led_by_chat = False
            self._seen = active
        if sip == chat:
            return []
        leader, follower = (self._chat, self._sip) if self._led_by_chat else (self._sip, self._chat)
        wanted = leader.pool.active
        if wanted is None or not follower.pool.can_use(wanted):
            return []
        judged = follower.follow(wanted, now)
        self._seen = self._active
        return self._carry_out(follower, judged, now)

    def _carry_out(self, follower: Backends, judged: list[Judgement], now: float) -> list[Output]:
        if follower is self._chat:
            return self._failovers.carry_out(judged, now)
        return self._evacuation.carry_out(judged, now)
