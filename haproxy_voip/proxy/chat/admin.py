"""What operators ask of chat. `status` has, besides what telephony says of itself:

chat_active             the backend that carries the chat sessions; null when there is none
chat_sessions           logged in at this moment, those included whose client is away
chat_clients_away       those among them whose client lost its connection and may come back
chat_under_way          those on their way to another backend
chat_stranded           those that wait for one
chat_stanzas_waiting    of clients, held back until their server, or their recipient's, is there
chat_connections        open at this moment, to clients and to backends
chat_backends           a list, in order of preference, of:
    name, xmpp          as configured
    health, admin       as for telephony
    active              whether it is the one above
    sessions            that are there
    reserves            sessions kept ready there for the case that theirs dies
    logins_waiting      that wait for their turn
    suspected_for       the signal that is being looked into, or null
    deep_probe          what the last login and ping failed by, or null
chat_failovers          the last ones, oldest first, a list of:
    age_seconds         since then
    backend, successor, signal, detected_after    as for telephony
    sessions            that were there
    settled_after       seconds until the last one was back
    resent              stanzas sent again
    lost                why -> how many sessions ended
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from haproxy_voip.cluster.pool import Admin as AdminState
from haproxy_voip.proxy.chat.phases import UNDER_WAY, Phase
from haproxy_voip.proxy.chat.shared import ChatShared
from haproxy_voip.proxy.chat_facts import ChatFailover
from haproxy_voip.proxy.shared import Output


class ChatAdmin:
    """See the module."""

    def __init__(self, shared: ChatShared) -> None:
        self._shared = shared

    @property
    def names(self) -> list[str]:
        """The backends that chat."""
        return list(self._shared.backends.pool.members)

    def set(self, backend: str, state: AdminState, now: float) -> list[Output]:
        """An operator's word: in `drain` as in `maint` sessions move away without haste. Raises PoolRefusal."""
        return self._shared.failovers.carry_out(self._shared.backends.set_admin(backend, state, now), now)

    def switch(self, backend: str, now: float) -> list[Output]:
        """All sessions go there. Raises PoolRefusal."""
        return self._shared.failovers.carry_out(self._shared.backends.switch(backend, now), now)

    def table(self) -> dict[str, Any]:
        """Which backend does what."""
        shared = self._shared
        reserves = [one.residence.reserve.leg for one in shared.sessions.all]
        rows = [
            {
                "name": name,
                "xmpp": str(shared.endpoint(name)),
                "health": str(member.health),
                "admin": member.word,
                "active": name == shared.backends.pool.active,
                "sessions": len(shared.sessions.by_backend[name]),
                "reserves": sum(leg is not None and leg.backend == name for leg in reserves),
                "logins_waiting": len(shared.lines[name]),
                "suspected_for": shared.backends.detectors[name].suspected_for,
                "deep_probe": shared.backends.deep_failure(name),
            }
            for name, member in shared.backends.pool.members.items()
        ]
        return {"chat_active": shared.backends.pool.active, "chat_backends": rows}

    def status(self, now: float) -> dict[str, Any]:
        """Everything."""
        shared = self._shared
        sessions = list(shared.sessions.all)
        phases = [session.residence.phase for session in sessions]
        return {
            **self.table(),
            "chat_sessions": len(sessions),
            "chat_clients_away": sum(session.client is None for session in sessions),
            "chat_under_way": sum(phase in UNDER_WAY for phase in phases),
            "chat_stranded": phases.count(Phase.STRANDED),
            "chat_stanzas_waiting": sum(len(session.traffic.outgoing.waiting) for session in sessions),
            "chat_connections": len(shared.legs),
            "chat_failovers": [_row(record, now) for record in shared.failovers.records],
        }


def _row(record: ChatFailover, now: float) -> dict[str, Any]:
    fields = asdict(record)
    return {"age_seconds": round(now - fields.pop("judged_at"), 3), **fields}
