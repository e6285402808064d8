"""Host names of backends: what they mean is kept as long as it is true, and then looked up again.

1. One name is one server. Of several addresses the first that a listener can reach (for chat: the first) is taken, and
   kept as long as it is among the answers, so that a name server that turns them around moves nobody.
2. What is known stays when nobody can be asked, or the name is gone: calls shall not depend on name servers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

from haproxy_voip.configuration.model import Config
from haproxy_voip.configuration.resolved import Lookup, names, resolved
from haproxy_voip.core.address import Address
from haproxy_voip.edge.facts import NameFound, NameNotFound
from haproxy_voip.edge.resolver import Found, NotFound

# All lookups of one name, before it counts as not found.
LOOKUP_SECONDS = 5.0
# A name that was not found is looked up again after so long.
RETRY_SECONDS = 5.0
# A record that lives shorter is still believed for so long, and one that lives longer no longer than that.
SHORTEST_SECONDS, LONGEST_SECONDS = 5.0, 3600.0


class Finder(Protocol):
    """A Resolver."""

    async def find(self, lookup: Lookup) -> Found:
        """Where this is. Raises NotFound."""


@dataclass(slots=True)
class _Known:
    """Of one name."""

    expires_at: float
    addresses: tuple[Address, ...] = ()
    address: Address | None = None  # in use
    reason: str = ""  # why it was not found when it was looked up last


class Names:
    """Of one proxy. `tell` is given facts."""

    def __init__(self, finder: Finder, tell: Callable[[object], None], clock: Callable[[], float] = monotonic) -> None:
        self._finder = finder
        self._tell = tell
        self._clock = clock
        self._known: dict[Lookup, _Known] = {}
        self.missing: tuple[tuple[str, str, str], ...] = ()  # backends without address: name, as configured, reason

    @property
    def next_at(self) -> float | None:
        """When something is to be looked up again; None: there are no names."""
        return min((known.expires_at for known in self._known.values()), default=None)

    async def resolve(self, config: Config) -> Config:
        """With addresses. What is still true is not asked for."""
        named = names(config)
        now = self._clock()
        lookups = dict.fromkeys(one.lookup for one in named)
        self._known = {one: self._known[one] for one in lookups if one in self._known}
        due = [one for one in lookups if one not in self._known or self._known[one].expires_at <= now]
        await asyncio.gather(*(self._look_up(one) for one in due))
        places = {}
        for lookup, known in self._known.items():
            self._choose(lookup, known, config)
            if known.address is not None:
                places[lookup] = known.address
        made, refused = resolved(config, places)
        self.missing = tuple(
            (one.backend, str(one.lookup.endpoint), refused.get(one) or self._known[one.lookup].reason)
            for one in named
            if one in refused or one.lookup not in places
        )
        return made

    async def _look_up(self, lookup: Lookup) -> None:
        known = self._known.setdefault(lookup, _Known(0.0))
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                found = await self._finder.find(lookup)
        except (NotFound, TimeoutError) as error:
            reason = str(error) or "no answer"
            if known.reason != reason:
                self._tell(NameNotFound(lookup.endpoint, reason, known.address))
            known.reason, known.expires_at = reason, self._clock() + RETRY_SECONDS
            return
        known.reason, known.addresses = "", found.addresses
        known.expires_at = self._clock() + min(max(found.seconds, SHORTEST_SECONDS), LONGEST_SECONDS)

    def _choose(self, lookup: Lookup, known: _Known, config: Config) -> None:
        endpoint, listen = lookup.endpoint, config.proxy.sip.listen
        families = {one.address.family for one in listen if one.transport is endpoint.transport}
        # Chat servers are connected to from any port; to speak SIP a listener is needed, which can be called back.
        fitting = [one for one in known.addresses if lookup.kind == "xmpp" or one.family in families]
        if not known.addresses or known.address in fitting:
            return
        if not fitting:
            known.address, known.reason = None, f"no listener speaks {endpoint.transport} to {known.addresses[0].host}"
            return
        self._tell(NameFound(endpoint, fitting[0], known.address))
        known.address = fitting[0]
