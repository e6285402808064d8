"""What operators ask over the control socket, answered with plain data.

`drain`, `maint`, `ready` and `switch` take `name`, a backend, and answer `active` and `backends` as they are then. They
mean all a backend does, or with `service` (`sip` or `xmpp`) only that. Of chat tells chat/admin.py.
`drain` with `move: "yes"` also moves the calls that are there to others, one by one, until another word is said.
`reload` has the configuration loaded again, `users-reload` only the users file. What cannot be done is answered with
`error`, which says why.

`status` answers:

    active                  the backend that new calls go to; null when there is none. Where `balance` is not "failover"
                            the best of those that they go to
    uptime_seconds          since this node started
    stops_in_seconds        how long calls may go on yet, when the process was asked to stop; else null
    registration            "mirror" or "active", as configured
    authentication          "proxy" or "backend", as configured
    unreachable             contacts that the active backend does not know yet, and for how many seconds at most
                            (null: none), as those phones must register there themselves; null while the proxy
                            authenticates and registers for them
    balance                 as configured
    percent_up, panic       where calls are spread: how much of all weight can get calls, and whether that is less than
                            the threshold
    backends                a list, in order of preference, of:
        name, sip           as configured
        health              "unknown", "up" or "down", as the checks say
        admin               "ready", "drain" or "maint", as operators said; "leaving": it was removed from the
                            configuration, and is gone when nothing is left there
        active              whether new calls go there
        weight              as configured; null where calls are not spread
        warm                how much of that it has, from 0 to 1: less during its slowstart; null likewise
        max_calls           as configured; null: no limit of its own
        calls               that are on it, answered or not
        registrations       our contacts it holds
        registrations_missing   those it shall hold and does not yet
        suspected_for       the signal that is being looked into, or null
        moved, to_move      calls that `drain --move` has moved, and still has to; null when it was not said
        staying             why calls stay there -> how many; null as above
    users_registered        users with a contact
    contacts                of all users
    contacts_behind_nat     those among them that get keepalives
    calls                   at this moment, answered or not
    subscriptions           at this moment
    dialogs                 of calls and subscriptions, those that ended less than 32 s ago included
    transactions            SIP transactions under way or waiting for repetitions
    streams                 TCP and TLS connections
    media_port_pairs        in use, those of an earlier process's streams included
    media_relay             "kernel" or "userspace"
    kernel_flows            directions of streams that the kernel relays alone at this moment
    lag_ms                  how late the proxy is; what arrives waits so long
    overloaded              whether new requests of clients and trunks are answered 503 because of that
    refused                 since the start, for `overload` and `calls_per_user`: how many requests
    offences                since the start: `failures` (wrong credentials, malformed messages), `unproven`
                            requests (without right credentials), `bans`, and `dropped`, what came from somebody banned
    banned_sources          at this moment
    banned                  the latest of them, at most 20, a list of:
        source              the address, or /64 of IPv6
        seconds_left        of its ban
        bans, reason        how many in a row, and what for
    not_found               backends that are down because nobody knows where their host name is, a list of:
        name, address       as configured, telephony's or chat's
        reason              what the name servers say
    trunks                  a list of:
        name, address       as configured
        calls, max_calls    to and from it at this moment, and how many may be
        registration        "registering", "registered", "refused" or "unreachable"; null: none is wanted
        expires_in          seconds for which the carrier holds it; null: it does not
        last_error          why the last attempt failed; null: it did not
    failovers               the last ones, oldest first, a list of:
        age_seconds         since then
        backend, successor  what was left, and for which one (null: none was there); where calls are spread, for which
                            ones, with commas
        signal              what told of it; "maintenance" when an operator did
        detected_after      seconds from that signal to the judgement
        moved, lost         kind of thing -> how many
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from haproxy_voip.cluster.pool import Admin as AdminState
from haproxy_voip.cluster.pool import PoolRefusal
from haproxy_voip.proxy.backends import Backends
from haproxy_voip.proxy.calls import Calls
from haproxy_voip.proxy.chat.admin import ChatAdmin
from haproxy_voip.proxy.effects import Reload, ReloadUsers, Reply, Service
from haproxy_voip.proxy.entrusted import Entrusted
from haproxy_voip.proxy.evacuation import Evacuation
from haproxy_voip.proxy.events import Command, NamesMissing, RelayInUse
from haproxy_voip.proxy.facts import FailoverRecord
from haproxy_voip.proxy.registrar import Registrar
from haproxy_voip.proxy.shared import Output, Shared
from haproxy_voip.proxy.stopping import Stopping
from haproxy_voip.proxy.subscriptions import Subscriptions
from haproxy_voip.proxy.trunk_registration import TrunkRegistrations
from haproxy_voip.proxy.upstream import Upstream


class Admin:
    """`status`, `drain`, `maint`, `ready`, `switch`, `reload`, `users-reload`."""

    def __init__(
        self,
        shared: Shared,
        backends: Backends,
        evacuation: Evacuation,
        registrar: Registrar,
        upstream: Upstream,
        calls: Calls,
        subscriptions: Subscriptions,
    ) -> None:
        self._shared = shared
        self.chat: ChatAdmin | None = None  # where there is chat
        self.trunks: TrunkRegistrations | None = None
        self.stopping: Stopping | None = None
        self._backends = backends
        self._evacuation = evacuation
        self._registrar = registrar
        self._upstream = upstream
        self._calls = calls
        self._subscriptions = subscriptions
        self._started_at = shared.now
        self.relay = RelayInUse("userspace", 0)  # as last told
        self._missing = NamesMissing(())
        self._commands: dict[str, Callable[[Command, float], list[Output]]] = {
            "status": self._status,
            "drain": self._drain,
            "maint": lambda command, now: self._set(command, AdminState.MAINT, now),
            "ready": lambda command, now: self._set(command, AdminState.READY, now),
            "switch": self._switch,
            "reload": self._reload,
            "users-reload": lambda command, now: [ReloadUsers(command.number)],
        }

    def told(self, event: RelayInUse | NamesMissing, now: float) -> list[Output]:
        """For the next `status`."""
        if isinstance(event, RelayInUse):
            self.relay = event
        else:
            self._missing = event
        return []

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

    def _set(self, command: Command, state: AdminState, now: float, move: bool = False) -> list[Output]:
        def telephony(name: str) -> list[Output]:
            judged = self._backends.set_admin(name, state, now)
            outputs = self._calls.clear(name, now) if move else self._calls.stay(name, now)
            return outputs + self._evacuation.carry_out(judged, now)

        return self._done(command, telephony, lambda chat, name: chat.set(name, state, now), now)

    def _drain(self, command: Command, now: float) -> list[Output]:
        return self._set(command, AdminState.DRAIN, now, command.arguments.get("move") == "yes")

    def _switch(self, command: Command, now: float) -> list[Output]:
        return self._done(
            command,
            lambda name: self._evacuation.carry_out(self._backends.switch(name, now), now),
            lambda chat, name: chat.switch(name, now),
            now,
        )

    def _reload(self, command: Command, now: float) -> list[Output]:
        if self._seconds_left(now) is not None:
            raise PoolRefusal("the proxy stops: the configuration is read by the next one")
        return [Reload(command.number)]

    def _seconds_left(self, now: float) -> float | None:
        return None if self.stopping is None else self.stopping.seconds_left(now)

    def _named(self, command: Command) -> tuple[str, list[Service]]:
        """Which backend, and what of it."""
        has: dict[Service, list[str]] = {
            "sip": list(self._backends.pool.members),
            "xmpp": [] if self.chat is None else self.chat.names,
        }
        known = list(dict.fromkeys((*has["sip"], *has["xmpp"])))
        name = command.arguments.get("name", "")
        if not name:
            raise PoolRefusal(f"{command.name} needs the name of a backend; there are {', '.join(known)}")
        if name not in known:
            raise PoolRefusal(f"there is no backend {name}; there are {', '.join(known)}")
        wanted = command.arguments.get("service")
        meant: list[Service] = [one for one in has if wanted in (None, one) and name in has[one]]
        if not meant:
            raise PoolRefusal(f"{name} has no service {wanted}; there are sip and xmpp")
        return name, meant

    def _done(
        self,
        command: Command,
        sip: Callable[[str], list[Output]],
        xmpp: Callable[[ChatAdmin, str], list[Output]],
        now: float,
    ) -> list[Output]:
        name, meant = self._named(command)
        outputs = sip(name) if "sip" in meant else []
        if self.chat is not None and "xmpp" in meant:
            outputs += xmpp(self.chat, name)
        result = {"active": self._backends.pool.active, "backends": self._table(now)}
        return [*outputs, Reply(command.number, result | ({} if self.chat is None else self.chat.table()))]

    def _status(self, command: Command, now: float) -> list[Output]:
        bindings, choice, left = self._registrar.bindings, self._backends.choice, self._seconds_left(now)
        result = {
            "active": self._backends.pool.active,
            "uptime_seconds": round(now - self._started_at, 3),
            "stops_in_seconds": None if left is None else round(left, 1),
            "registration": self._shared.config.registration,
            "authentication": self._shared.config.authentication,
            "unreachable": self._unreachable(now),
            "balance": choice.sharing.balance,
            **({"percent_up": choice.percent_up, "panic": choice.panic} if choice.sharing.spreads else {}),
            "backends": self._table(now),
            "not_found": [dict(zip(("name", "address", "reason"), one, strict=True)) for one in self._missing.backends],
            "users_registered": len({binding.aor for binding in bindings}),
            "contacts": len(bindings),
            "contacts_behind_nat": len(self._registrar.keepalives),
            "calls": self._calls.count,
            "subscriptions": len(self._subscriptions),
            "dialogs": len(self._shared.legs),
            "transactions": len(self._shared.transactions),
            "streams": self._shared.network.streams,
            "media_port_pairs": self._shared.ports.in_use,
            "media_relay": self.relay.relay,
            "kernel_flows": self.relay.kernel_flows,
            **self._limits(now),
            "trunks": [] if self.trunks is None else self.trunks.rows(now),
            "failovers": [_row(record, now) for record in self._evacuation.records],
        }
        return [Reply(command.number, result | ({} if self.chat is None else self.chat.status(now)))]

    def _limits(self, now: float) -> dict[str, Any]:
        admission, sources = self._shared.admission, self._shared.sources
        return {
            "lag_ms": round(admission.lag * 1000, 1),
            "overloaded": admission.overloaded,
            "refused": {"overload": admission.refused, "calls_per_user": self._calls.quota.refused},
            "offences": {
                "failures": sources.failed,
                "unproven": sources.unproven,
                "bans": sources.bans,
                "dropped": sources.dropped,
            },
            "banned_sources": sources.banned(now),
            "banned": sources.rows(now),
        }

    def _unreachable(self, now: float) -> dict[str, Any] | None:
        if not isinstance(self._upstream, Entrusted):
            return None
        contacts, seconds = self._upstream.unreachable(self._backends.pool.active, now)
        return {"contacts": contacts, "seconds": None if seconds is None else round(max(seconds, 0.0), 1)}

    def _table(self, now: float) -> list[dict[str, Any]]:
        calls, choice = self._calls.snapshot(), self._backends.choice
        rows = []
        for name, member in self._backends.pool.members.items():
            held, missing = self._upstream.counts(name)
            detector = self._backends.detectors[name]
            clearance = self._calls.clearance(name)
            rows.append(
                {
                    "name": name,
                    "sip": str(self._shared.network.endpoint(name)),
                    "health": str(member.health),
                    "admin": member.word,
                    "active": choice.chosen(name),
                    "weight": choice.terms(name).weight if choice.sharing.spreads else None,
                    "warm": round(choice.share(name, now), 2) if choice.sharing.spreads else None,
                    "calls": calls.get(name, 0),
                    "max_calls": choice.terms(name).max_calls,
                    "registrations": held,
                    "registrations_missing": missing,
                    "suspected_for": detector.suspected_for,
                    "moved": None if clearance is None else clearance.moved,
                    "to_move": None if clearance is None else clearance.to_move,
                    "staying": None if clearance is None else clearance.staying,
                }
            )
        return rows


def _row(record: FailoverRecord, now: float) -> dict[str, Any]:
    fields = asdict(record)
    return {"age_seconds": round(now - fields.pop("judged_at"), 3), **fields}
