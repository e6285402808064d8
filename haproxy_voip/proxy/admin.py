"""What operators ask over the control socket, answered with plain data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from haproxy_voip.cluster.pool import Admin as AdminState
from haproxy_voip.cluster.pool import PoolRefusal
from haproxy_voip.proxy.backends import Backends, Judgement
from haproxy_voip.proxy.calls import Calls
from haproxy_voip.proxy.effects import ReloadUsers, Reply
from haproxy_voip.proxy.evacuation import Evacuation
from haproxy_voip.proxy.events import Command
from haproxy_voip.proxy.shared import Output, Shared
from haproxy_voip.proxy.upstream import Upstream
from haproxy_voip.sip.bindings import Bindings


class Admin:
    """`status`, `drain`, `maint`, `ready`, `switch`, `users-reload`."""

    def __init__(
        self,
        shared: Shared,
        backends: Backends,
        evacuation: Evacuation,
        bindings: Bindings,
        upstream: Upstream,
        calls: Calls,
    ) -> None:
        self._shared = shared
        self._backends = backends
        self._evacuation = evacuation
        self._bindings = bindings
        self._upstream = upstream
        self._calls = calls
        self._started_at = shared.now
        self._commands: dict[str, Callable[[Command, float], list[Output]]] = {
            "status": self._status,
            "drain": lambda command, now: self._set(command, AdminState.DRAIN, now),
            "maint": lambda command, now: self._set(command, AdminState.MAINT, now),
            "ready": lambda command, now: self._set(command, AdminState.READY, now),
            "switch": self._switch,
            "users-reload": lambda command, now: [ReloadUsers(command.number)],
        }

    def command(self, command: Command, now: float) -> list[Output]:
        """Carry out a command and reply."""
        handler = self._commands.get(command.name)
        if handler is None:
            known = ", ".join(self._commands)
            return [Reply(command.number, {"error": f"unknown command {command.name!r}; known are {known}"})]
        try:
            return handler(command, now)
        except PoolRefusal as refusal:
            return [Reply(command.number, {"error": str(refusal)})]

    def _set(self, command: Command, state: AdminState, now: float) -> list[Output]:
        name = command.arguments.get("name", "")
        return self._done(command, self._backends.set_admin(name, state, now), now)

    def _switch(self, command: Command, now: float) -> list[Output]:
        return self._done(command, self._backends.switch(command.arguments.get("name", ""), now), now)

    def _done(self, command: Command, judged: list[Judgement], now: float) -> list[Output]:
        outputs = self._evacuation.carry_out(judged, now)
        return [*outputs, Reply(command.number, {"active": self._backends.pool.active, "backends": self._table(now)})]

    def _status(self, command: Command, now: float) -> list[Output]:
        pool = self._backends.pool
        result = {
            "active": pool.active,
            "uptime_seconds": round(now - self._started_at, 3),
            "registration": self._shared.config.registration,
            "backends": self._table(now),
            "users_registered": len({binding.aor for binding in self._bindings}),
            "contacts": len(self._bindings),
            "calls": self._calls.count,
            "dialogs": len(self._shared.legs),
            "transactions": len(self._shared.transactions),
            "streams": self._shared.network.streams,
            "media_port_pairs": self._shared.ports.in_use,
            "failovers": [asdict(record) for record in self._evacuation.records],
        }
        return [Reply(command.number, result)]

    def _table(self, now: float) -> list[dict[str, Any]]:
        calls = self._calls.snapshot()
        rows = []
        for name, member in self._backends.pool.members.items():
            held, missing = self._upstream.counts(name)
            detector = self._backends.detectors[name]
            rows.append(
                {
                    "name": name,
                    "sip": str(self._shared.network.endpoint(name)),
                    "health": str(member.health),
                    "admin": str(member.admin),
                    "active": name == self._backends.pool.active,
                    "calls": calls[name],
                    "registrations": held,
                    "registrations_missing": missing,
                    "suspected_for": detector.suspected_for,
                }
            )
        return rows
