"""Asks name servers where a backend is (RFC 3263 section 4.2, RFC 6120 section 3.2, XEP-0368, RFC 2782)."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiodns
import pycares

from haproxy_voip.configuration.resolved import Lookup
from haproxy_voip.core.address import Address, Transport

# What SRV records of it are called, and its port where there are none.
SERVICES = {
    ("sip", Transport.UDP): ("_sip._udp", 5060),
    ("sip", Transport.TCP): ("_sip._tcp", 5060),
    ("sip", Transport.TLS): ("_sips._tcp", 5061),
    ("xmpp", Transport.TCP): ("_xmpp-client._tcp", 5222),
    ("xmpp", Transport.TLS): ("_xmpps-client._tcp", 5223),
}
# A server that is slow to answer is asked once more, and then the next one.
TRY_SECONDS = 1.0
TRIES = 2
# Of SRV targets, the best; one backend needs one.
MAX_TARGETS = 4
NO_SUCH = (pycares.errno.ARES_ENODATA, pycares.errno.ARES_ENOTFOUND)


class NotFound(Exception):
    """The name means nothing, or nobody could be asked; the text says which."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a name means."""

    addresses: tuple[Address, ...]  # the best first
    seconds: float  # for which that is true


@dataclass(slots=True)
class _Records:
    """Answers so far, and the shortest of their lives."""

    addresses: list[Address]
    seconds: float


class Resolver:
    """Asks the name servers of resolv.conf(5), or these at this port."""

    def __init__(self, servers: Sequence[str] = (), port: int | None = None) -> None:
        self._servers = list(servers)
        self._options: dict[str, Any] = {"timeout": TRY_SECONDS, "tries": TRIES}
        if port is not None:
            self._options |= {"udp_port": port, "tcp_port": port}

    async def find(self, lookup: Lookup) -> Found:
        """Where this is; port 0 is looked up, too. Raises NotFound."""
        # Made anew each time: it reads resolv.conf(5) when it is made, and keeps answers that we keep already.
        async with aiodns.DNSResolver(self._servers or None, **self._options) as dns:
            return await _Search(dns).find(lookup)


class _Search:
    """For one of them."""

    def __init__(self, dns: aiodns.DNSResolver) -> None:
        self._dns = dns

    async def find(self, lookup: Lookup) -> Found:
        """As the resolver's."""
        transport, (host, port) = lookup.endpoint
        if port:
            found = await self._addresses(host, port)
        else:
            prefix, usual = SERVICES[lookup.kind, transport]
            found = await self._service(f"{prefix}.{host}") or await self._addresses(host, usual)
        if not found.addresses:
            raise NotFound(f"{host} has no address")
        return Found(tuple(dict.fromkeys(found.addresses)), found.seconds)

    async def _service(self, name: str) -> _Records | None:
        """None: there is no such record, so the host itself is meant."""
        answer = await self._ask(name, "SRV")
        targets = [one.data for one in answer if isinstance(one.data, pycares.SRVRecordData)]
        if not targets:
            return None
        # RFC 2782 draws lots among equals. We are one client, so the heaviest does, and is the same every time.
        targets.sort(key=lambda one: (one.priority, -one.weight, one.target, one.port))
        records = _Records([], _shortest(answer))
        for one in targets[:MAX_TARGETS]:
            target = one.target.rstrip(".")
            if not target:
                raise NotFound(f"{name} says that there is no such service")
            try:
                there = await self._addresses(target, one.port)
            except NotFound:
                continue  # the next one is for that
            records.addresses += there.addresses
            records.seconds = min(records.seconds, there.seconds)
        return records

    async def _addresses(self, host: str, port: int) -> _Records:
        answers = await asyncio.gather(self._ask(host, "A"), self._ask(host, "AAAA"), return_exceptions=True)
        records = [one for answer in answers if not isinstance(answer, BaseException) for one in answer]
        hosts = [
            ipaddress.ip_address(one.data.addr)
            for one in records
            if isinstance(one.data, pycares.ARecordData | pycares.AAAARecordData)
        ]
        for answer in answers:
            if isinstance(answer, BaseException) and not hosts:
                raise answer
        # In an order of our own: name servers turn theirs with each answer.
        hosts.sort(key=lambda one: (one.version, one.packed))
        return _Records([Address(str(one), port) for one in hosts], _shortest(records))

    async def _ask(self, name: str, kind: str) -> list[pycares.DNSRecord]:
        """All that was answered, aliases too; nothing if there is none of this kind. Raises NotFound when nobody could
        be asked.
        """
        try:
            result = await self._dns.query_dns(name, kind)
        except aiodns.error.DNSError as error:
            number, text = error.args[0], error.args[-1]
            if number in NO_SUCH:
                return []
            raise NotFound(f"{name}: {text}") from None
        return result.answer


def _shortest(records: list[pycares.DNSRecord]) -> float:
    return min((float(one.ttl) for one in records), default=0.0)
