"""Everything we listen on: SIP's listeners and chat's, opened at the start and changed by a reload."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import NamedTuple

from haproxy_voip.configuration.model import Config
from haproxy_voip.core.address import Address, Endpoint, Transport
from haproxy_voip.core.events import Datagram
from haproxy_voip.edge.facts import Listening, NotListening
from haproxy_voip.edge.listening import CannotListen
from haproxy_voip.edge.tcp import Streams
from haproxy_voip.edge.udp import UdpListener


class Wanted(NamedTuple):
    """One listener as it is configured."""

    endpoint: Endpoint
    chat: bool


class Certificates(NamedTuple):
    """What those who connect are shown."""

    sip: ssl.SSLContext | None
    chat: ssl.SSLContext | None

    def of(self, wanted: Wanted) -> ssl.SSLContext | None:
        """For this listener; None where connections do not begin with TLS."""
        if wanted.endpoint.transport is not Transport.TLS:
            return None
        return self.chat if wanted.chat else self.sip


class Listeners:
    """See the module. `udp` has each UDP listener by its address, as configured and as it really is."""

    def __init__(self, receive: Callable[[Datagram], None], tell: Callable[[object], None], streams: Streams) -> None:
        self.udp: dict[Address, UdpListener] = {}
        self._receive = receive
        self._tell = tell
        self._streams = streams
        self._open: dict[Wanted, Endpoint] = {}  # with their real ports
        self._needed: frozenset[Wanted] = frozenset()  # by the configuration in force, or the one about to be

    @property
    def endpoints(self) -> list[Endpoint]:
        """Where we listen, with real ports."""
        return list(self._open.values())

    async def open(self, config: Config, certificates: Certificates) -> list[Wanted]:
        """Listen wherever this says and we do not yet; which these are. Raises CannotListen, and is as before then."""
        before, self._needed = self._needed, frozenset(_wanted(config))
        opened: list[Wanted] = []
        try:
            for wanted in _wanted(config):
                if wanted not in self._open:
                    self._open[wanted] = await self._bind(wanted, certificates.of(wanted))
                    opened.append(wanted)
        except CannotListen:
            self._needed = before
            await self.close(opened)
            raise
        return opened

    async def abandon(self, opened: list[Wanted], config: Config) -> None:
        """What `open` was told is not to be; this stays in force."""
        self._needed = frozenset(_wanted(config))
        await self.close(opened)

    async def settle(self, certificates: Certificates) -> None:
        """What `open` was told is in force: accept no more elsewhere, and show these certificates.

        A UDP listener stays until the node says `CloseListener`: it has no connections that could stay without it.
        """
        for wanted in list(self._open):
            if wanted.endpoint.transport is Transport.UDP:
                continue
            if wanted not in self._needed:
                await self.close([wanted])
            elif wanted.endpoint.transport is Transport.TLS:
                self._streams.renew(self._open[wanted], certificates.of(wanted))

    async def leave(self, endpoint: Endpoint, chat: bool = False) -> None:
        """Nobody talks over this UDP listener any more, which may be wanted again by now; or the end is near for this
        one of chat.
        """
        wanted = Wanted(endpoint, chat)
        if wanted in self._open and (chat or wanted not in self._needed):
            await self.close([wanted])

    async def close(self, those: list[Wanted]) -> None:
        """Listen there no more; what is connected stays."""
        for wanted in those:
            real = self._open.pop(wanted)
            if wanted.endpoint.transport is Transport.UDP:
                for address in {wanted.endpoint.address, real.address}:
                    self.udp.pop(address).close()
            else:
                await self._streams.unlisten(real)
            self._tell(NotListening(real))

    def stop(self) -> None:
        """Take no more datagrams; `Streams.stop` does the rest."""
        for listener in self.udp.values():
            listener.close()

    async def _bind(self, wanted: Wanted, context: ssl.SSLContext | None) -> Endpoint:
        endpoint = wanted.endpoint
        if endpoint.transport is Transport.UDP:
            listener = await UdpListener.bind(endpoint.address, self._receive)
            # The node says where it sends from in the words of the configuration.
            self.udp[endpoint.address] = self.udp[listener.local] = listener
            real = listener.endpoint
        else:
            real = self._streams.listen(endpoint, context, may_be_idle=wanted.chat)
        self._tell(Listening(real))
        return real


def _wanted(config: Config) -> list[Wanted]:
    chat = config.proxy.xmpp
    return [
        *(Wanted(endpoint, chat=False) for endpoint in config.proxy.sip.listen),
        *(Wanted(endpoint, chat=True) for endpoint in (chat.listen if chat is not None else ())),
    ]
