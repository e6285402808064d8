"""Keeps the way to UDP clients behind a NAT open.

A NAT forgets a client that is silent, and then no call reaches it. The client is sent an empty line, which is less
than any SIP message and which every SIP stack drops (RFC 3261 section 7.5). A client is taken to be behind a NAT when
what it says of itself, in Via and Contact, is not where it sends from.
"""

from __future__ import annotations

from haproxy_voip.core.address import Flow, Transport
from haproxy_voip.core.effects import Send
from haproxy_voip.proxy.shared import Output, Shared
from haproxy_voip.sip.bindings import Binding
from haproxy_voip.sip.message import Request

PING = b"\r\n\r\n"
# Clients are pinged in so many groups, one after the other, so that many make no burst.
GROUPS = 25


class Keepalives:
    """All such clients by binding. One alarm for all."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._groups: list[dict[Binding, Flow]] = [{} for _ in range(GROUPS)]
        self._group_of: dict[Binding, int] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._group_of)

    def registered(self, binding: Binding, request: Request, now: float) -> None:
        """A binding was made or refreshed by this REGISTER, perhaps from elsewhere than before."""
        if not behind_nat(binding, request):
            self.forget(binding)
            return
        group = self._group_of.get(binding)
        if group is None:
            group = self._group_of[binding] = (self._next + len(self)) % GROUPS
        self._groups[group][binding] = binding.flow
        if self._shared.alarms.at(self) is None:
            self._set_alarm(now)

    def forget(self, binding: Binding) -> None:
        """The client is gone."""
        group = self._group_of.pop(binding, None)
        if group is not None:
            del self._groups[group][binding]
        if not self._group_of:
            self._shared.alarms.set(self, None)

    def wake(self, now: float) -> list[Output]:
        """The next group's turn."""
        flows = self._groups[self._next].values()
        self._next = (self._next + 1) % GROUPS
        self._set_alarm(now)
        return [Send(flow, PING) for flow in flows]

    def _set_alarm(self, now: float) -> None:
        self._shared.alarms.set(self, now + self._shared.config.timers.nat_keepalive / GROUPS)


def behind_nat(binding: Binding, request: Request) -> bool:
    """Whether the client sent this from another place than it believes."""
    flow = binding.flow
    if flow.transport is not Transport.UDP:
        return False
    said = [(request.top_via.host, request.top_via.port or 5060)]
    said += [(contact.uri.host, contact.uri.port or 5060) for contact in request.contacts if not contact.star]
    return any(place != (flow.remote.host, flow.remote.port) for place in said)
