"""Another configuration while calls are up: each part takes what it needs of it, and what was removed is let go of.

Almost everything is read where it is used, of `Shared.config`; here is what cannot be: tables that are made of it.
"""

from __future__ import annotations

from haproxy_voip.core.address import Endpoint
from haproxy_voip.proxy.departures import LOOK_SECONDS, Departures
from haproxy_voip.proxy.effects import CloseListener
from haproxy_voip.proxy.evacuation import Evacuation
from haproxy_voip.proxy.events import Reconfigured
from haproxy_voip.proxy.facts import BackendGone
from haproxy_voip.proxy.reception import Parts
from haproxy_voip.proxy.shared import Output, Shared
from haproxy_voip.proxy.sources import spared


class Reconfiguration:
    """Of everything but chat (chat/chat.py) and the users, who may change by themselves."""

    def __init__(self, shared: Shared, parts: Parts, evacuation: Evacuation) -> None:
        self._shared = shared
        self._parts = parts
        self._evacuation = evacuation
        evacuation.retired = self._retired
        self._departures = Departures(
            shared.alarms, parts.backends.pool, self._carries, parts.upstream.busy, self._drop
        )

    def take(self, event: Reconfigured, now: float) -> list[Output]:
        """It is in force."""
        shared, config, parts = self._shared, event.config, self._parts
        digest = shared.config.proxy.digest
        shared.config = config
        judged = parts.backends.reconfigure(config, now)
        members = parts.backends.pool.members
        shared.network.reconfigure(config, [name for name, member in members.items() if member.leaving])
        shared.topology.relocate(shared.network.own_hosts, shared.network.backend_hosts)
        limits = config.limits
        shared.sources.reconfigure(limits, spared(limits, shared.network.backend_hosts, config.trunks))
        shared.ports.resize(config.media.ports.low, config.media.ports.high, config.media.quarantine)
        if config.proxy.digest != digest:
            shared.authentication.allow(config.proxy.digest)
        parts.registrar.reconfigured()
        outputs = self._evacuation.carry_out(judged, now)
        if shared.network.former:
            shared.alarms.set(self, now + LOOK_SECONDS)
        return outputs

    def _retired(self, now: float) -> None:
        """A backend that was removed is not needed any more."""
        self._departures.watch(now)

    # -- backends -----------------------------------------------------------------------------------

    def _carries(self, backend: str) -> bool:
        parts = self._parts
        return bool(parts.calls.on(backend) or parts.inquiries.on(backend) or parts.subscriptions.on(backend))

    def _drop(self, backend: str, now: float) -> list[Output]:
        parts, shared = self._parts, self._shared
        outputs = parts.upstream.drop(backend, now)
        for part in (parts.calls, parts.inquiries, parts.subscriptions):
            part.drop(backend)
        shared.authentication.forget(backend)
        outputs += [*shared.network.forget(backend), *parts.backends.drop(backend)]
        shared.topology.relocate(shared.network.own_hosts, shared.network.backend_hosts)
        return [*outputs, BackendGone(backend)]

    # -- listeners ----------------------------------------------------------------------------------

    def wake(self, now: float) -> list[Output]:
        """Close the removed UDP listeners that nobody talks over any more; what was connected closes by itself."""
        shared = self._shared
        over = [endpoint for endpoint in shared.network.former if not self._spoken_over(endpoint)]
        for endpoint in over:
            del shared.network.former[endpoint]
        if shared.network.former:
            shared.alarms.set(self, now + LOOK_SECONDS)
        return [CloseListener(endpoint) for endpoint in over]

    def _spoken_over(self, endpoint: Endpoint) -> bool:
        host, port = endpoint.address
        return any(
            not flow.connection and flow.local.port == port and host in (flow.local.host, "0.0.0.0", "::")
            for flow in (leg.flow for leg in self._shared.legs)
        )
