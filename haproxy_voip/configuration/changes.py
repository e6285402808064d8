"""What another configuration changes in a proxy that runs.

Pure: the model in force and the one that is wanted make the model that can be put in force now, and one `Change` for
each difference. What is not named in AT_RUN_TIME takes effect at restart: then the value in force stays in the model,
and the next reload tells of it again.

A backend never changes its address: it leaves, and one of the same name comes when nothing is left of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field, is_dataclass, replace
from typing import Any, TypeVar

from haproxy_voip.configuration.kinds import written_duration
from haproxy_voip.configuration.limits import LimitsConfig
from haproxy_voip.configuration.model import BackendConfig, Config
from haproxy_voip.configuration.peers import TrunkConfig
from haproxy_voip.configuration.rules import RULES
from haproxy_voip.core.address import Endpoint, Transport

# Keys, with everything below them, that a running proxy takes over. `*` is a name of the operator's choice.
AT_RUN_TIME = (
    "proxy.sip.listen",
    "proxy.tls",
    "proxy.digest",
    "proxy.stop_after",
    "proxy.xmpp.listen",
    "proxy.xmpp.starttls",
    "proxy.xmpp.mechanisms",
    "proxy.xmpp.resume",
    "proxy.xmpp.domains.*.certificate",
    "proxy.xmpp.domains.*.key",
    "users",
    "trunks",
    "backends.*.chat.starttls",
    "backends.*.chat.login",
    "backends.*.chat.impersonation",
    "backends.*.chat.standby",
    "backends.*.tls",
    "backends.*.weight",
    "backends.*.max_calls",
    "backends.*.slowstart",
    "balance",
    "panic",
    "health",
    "failback",
    "media.address",
    "media.listen",
    "media.ports",
    "media.quarantine",
    "timers",
    "limits",
    "log.level",
    "call_records",
)
# Where the classes of sections are.
SECTIONS = (Config.__module__, TrunkConfig.__module__, LimitsConfig.__module__)
RESTART = "takes effect at restart"
LEAVES = ": what is there stays until it ends, then it is gone"

Section = TypeVar("Section")


@dataclass(frozen=True, slots=True)
class Departing:
    """Where the backends are that were removed and still have something to carry, by name."""

    sip: Mapping[str, Endpoint] = field(default_factory=dict)
    xmpp: Mapping[str, Endpoint] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """One difference."""

    key: str
    what: str
    later: str = ""  # when it takes effect; empty: now

    def __str__(self) -> str:
        return f"{self.key}: {self.what}" + (f"; {self.later}" if self.later else "")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a reload does."""

    config: Config  # to be in force
    changes: tuple[Change, ...]
    waits: bool = False  # for a backend to be gone, whose name or address is wanted


def plan(running: Config, wanted: Config, departing: Departing, last_may_go: bool = False) -> Plan:
    """See the module. Whatever it says, the model in force is one that `load` could have given; where `last_may_go`, it
    may be without any backend until one can come.
    """
    merge = _Merge()
    config = merge.section(replace(running, backends=()), replace(wanted, backends=()), "", "")
    backends, waits = merge.backends(running, wanted, departing)
    config = replace(config, backends=backends)
    if _ways(config, running) != _ways(running, running):
        merge.postpone("proxy.sip.listen", "a backend is reached from one that would go")
        sip = replace(config.proxy.sip, listen=running.proxy.sip.listen)
        config = replace(config, proxy=replace(config.proxy, sip=sip))
    spared = ("backends",) if last_may_go else ()
    if any(key not in spared for rule in RULES for key, _, _ in rule.check(config)):
        # What can change now does not fit to what cannot.
        return Plan(running, tuple(replace(change, later=RESTART) for change in merge.changes))
    return Plan(config, tuple(merge.changes), waits)


class _Merge:
    """Collects the changes."""

    def __init__(self) -> None:
        self.changes: list[Change] = []

    def postpone(self, key: str, why: str) -> None:
        """This change cannot be made now after all."""
        self.changes = [replace(one, later=f"{why}: {RESTART}") if one.key == key else one for one in self.changes]

    def section(self, old: Section, new: Section, key: str, kind: str) -> Section:
        """The section with all that can change now. `kind` is the key with `*` for names."""
        values: dict[str, Any] = {}
        for each in dataclasses.fields(old):  # type: ignore[arg-type]
            one, other = getattr(old, each.name), getattr(new, each.name)
            if one != other:
                below = (f"{key}.{each.name}", f"{kind}.{each.name}") if key else (each.name, each.name)
                values[each.name] = self._value(one, other, *below)
        changed: Section = replace(old, **values)  # type: ignore[type-var]
        return changed

    def _value(self, old: Any, new: Any, key: str, kind: str) -> Any:
        if _is_section(old) and type(old) is type(new):
            return self.section(old, new, key, kind)
        if _names(old) and _names(old) == _names(new):
            pairs = zip(old, new, strict=True)
            return tuple(self.section(one, other, f"{key}.{one.name}", f"{kind}.*") for one, other in pairs)
        if any(f"{kind}.".startswith(f"{each}.") for each in AT_RUN_TIME):
            secret = kind.endswith((".password", ".impersonation"))
            self.changes.append(Change(key, "changed" if secret else f"{_written(old)} -> {_written(new)}"))
            return new
        self.changes.append(Change(key, "changed", RESTART))
        return old

    # -- backends -----------------------------------------------------------------------------------

    def backends(self, running: Config, wanted: Config, departing: Departing) -> tuple[tuple[BackendConfig, ...], bool]:
        """The backends to be in force, and whether others wait."""
        known = {backend.name: backend for backend in running.backends}
        sip = _Service("sip", running.sip_endpoints, departing.sip)
        xmpp = _Service("xmpp", running.xmpp_endpoints, departing.xmpp)
        kept, waits = [], False
        for new in wanted.backends:
            places = self._place(sip, new.name, new.sip), self._place(xmpp, new.name, new.xmpp)
            waits = waits or places != (new.sip, new.xmpp)
            old = known.pop(new.name, None)
            here = new if old is None else self._settings(old, new)
            if any(place is not None for place in places):
                kept.append(replace(here, sip=places[0], xmpp=places[1]))
        self.changes += [Change(f"backends.{name}", f"removed{LEAVES}") for name in known]
        names = [backend.name for backend in kept]
        before = [backend.name for backend in running.backends if backend.name in names]
        if before != [name for name in names if name in before]:
            self.changes.append(Change("backends", f"the order is {', '.join(names)}"))
        return tuple(kept), waits

    def _settings(self, old: BackendConfig, new: BackendConfig) -> BackendConfig:
        here = replace(new, sip=old.sip, xmpp=old.xmpp)
        return self.section(old, here, f"backends.{new.name}", "backends.*")

    def _place(self, service: _Service, name: str, new: Endpoint | None) -> Endpoint | None:
        """Where it is from now on; None: nowhere, or not yet."""
        key, old = f"backends.{name}.{service.key}", service.running.get(name)
        if old == new:
            return old
        if new is None:
            self.changes.append(Change(key, f"{old} removed{LEAVES}"))
            return None
        last = old or service.departing.get(name, new)
        if last != new:
            self.changes.append(Change(key, f"{last} -> {new}", "when nothing is left at the former address"))
            return None
        other = service.who_is_at(new)
        if other not in (None, name):
            self.changes.append(Change(key, f"{new} added", f"when nothing is left of {other} there"))
            return None
        self.changes.append(Change(key, f"{new} added: it is checked before it is used"))
        return new


@dataclass(frozen=True, slots=True)
class _Service:
    """The backends of one service before the reload."""

    key: str
    running: Mapping[str, Endpoint]
    departing: Mapping[str, Endpoint]

    def who_is_at(self, place: Endpoint) -> str | None:
        """The backend at this address, be it that it leaves."""
        return next((name for name, at in (*self.running.items(), *self.departing.items()) if at == place), None)


def _ways(config: Config, running: Config) -> dict[str, Endpoint | None]:
    """From which listener whoever runs is reached, which their calls and registrations name."""
    return {
        name: next((at for at in config.proxy.sip.listen if _fits(at, transport, address.family)), None)
        for name, (transport, address) in (running.sip_endpoints | running.trunk_endpoints).items()
    }


def _fits(listener: Endpoint, transport: Transport, family: int) -> bool:
    return listener.transport is transport and listener.address.family == family


def _is_section(value: object) -> bool:
    return is_dataclass(value) and type(value).__module__ in SECTIONS


def _names(value: object) -> list[str]:
    """Of sections that have names; empty for anything else."""
    return [one.name for one in value if _is_section(one)] if isinstance(value, tuple) else []


def _written(value: object) -> str:
    """A value as people write it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return written_duration(value)
    if type(value) is tuple:
        return f"[{', '.join(_names(value) or map(str, value))}]"
    return "given" if _is_section(value) else str(value)
