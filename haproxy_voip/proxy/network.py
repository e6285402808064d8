"""The node's place in the network: its own addresses, the backends' and the streams that are open.

Everything sent to a client goes back on the flow it came by (RFC 3581, RFC 5923); everything sent to a
backend goes to its configured endpoint, whatever its Contact says, over one stream that is kept.
"""

from __future__ import annotations

from haproxy_voip.configuration.model import BackendConfig, Config
from haproxy_voip.core.address import Address, Endpoint, Flow, Transport, bracketed
from haproxy_voip.core.effects import Close, Open
from haproxy_voip.core.events import StreamData
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.framing import Keepalive, StreamFramer
from haproxy_voip.sip.message import Request, Response

# A stream is kept for each backend and one for each connected client; more is refused by the edge already.
MAX_STREAMS = 20_000

WILDCARDS = ("0.0.0.0", "::")


class NoListener(Exception):
    """No listener has the transport and address family this destination needs."""


class Network:
    """Flows, sent-by values and contacts; which backend an address is; framers of open streams."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._listeners = config.proxy.sip.listen
        self._endpoints = {backend.name: backend.sip for backend in config.backends}
        self._by_address = {backend.sip.address: backend.name for backend in config.backends}
        self._by_host = _hosts_of_one_backend(config.backends)
        self._framers: dict[int, StreamFramer] = {}
        self._backend_flows: dict[str, Flow] = {}
        self._opened = 0
        self._sent_by: dict[tuple[Transport, Address], str] = {}
        self.own_hosts = _own_hosts(config)

    # -- who is who ---------------------------------------------------------------------------------

    def backend_at(self, remote: Address) -> str | None:
        """The backend that sends from here, or None for a client. Streams come from ports of their own."""
        return self._by_address.get(remote) or self._by_host.get(remote.host)

    def endpoint(self, backend: str) -> Endpoint:
        """Where the backend is told to listen."""
        return self._endpoints[backend]

    # -- what we write of ourselves -----------------------------------------------------------------

    def sent_by(self, flow: Flow) -> str:
        """The host and port for a Via sent on this flow."""
        key = (flow.transport, flow.local)
        known = self._sent_by.get(key)
        if known is None:
            listener = self._listener_for(flow)
            known = f"{bracketed(self.advertised_host(flow.local))}:{listener.address.port}"
            self._sent_by[key] = known
        return known

    def contact(self, user: str, flow: Flow) -> str:
        """A name-addr that reaches us with this user part, for a Contact sent on this flow."""
        transport = "" if flow.transport is Transport.UDP else f";transport={flow.transport}"
        return f"<sip:{user}@{self.sent_by(flow)}{transport}>"

    def advertised_host(self, local: Address) -> str:
        """The host others shall use for this address of ours, in the same address family."""
        advertise = self._config.proxy.advertise
        if advertise is not None and (":" in advertise) == (":" in local.host):
            return advertise
        return local.host

    def _listener_for(self, flow: Flow) -> Endpoint:
        fallback = None
        for listener in self._listeners:
            if listener.transport is flow.transport and listener.address.family == flow.remote.family:
                if listener.address.host == flow.local.host:
                    return listener
                fallback = fallback or listener
        if fallback is None:
            raise NoListener(f"nothing listens on {flow.transport} for IPv{flow.remote.family}")
        return fallback

    # -- the way to a backend -----------------------------------------------------------------------

    def to_backend(self, backend: str) -> tuple[Flow, list[Open]]:
        """The flow to this backend, and what must be done first to have it.

        Raises NoListener when no listener of ours fits its transport and address family.
        """
        flow = self._backend_flows.get(backend)
        if flow is not None:
            return flow, []
        transport, address = self._endpoints[backend]
        local = self.local_for(transport, address)
        if transport is Transport.UDP:
            flow = self._backend_flows[backend] = Flow(transport, local, address)
            return flow, []
        self._opened += 2  # even: opened by the node
        flow = self._backend_flows[backend] = Flow(transport, local, address, self._opened)
        self._framers[flow.connection] = StreamFramer()
        return flow, [Open(flow)]

    def local_for(self, transport: Transport, remote: Address) -> Address:
        """The listener to reach this address from. Raises NoListener."""
        for listener in self._listeners:
            if listener.transport is transport and listener.address.family == remote.family:
                return listener.address
        raise NoListener(
            f"proxy.sip.listen: nothing listens on {transport} for IPv{remote.family}, which {remote} needs"
        )

    # -- streams ------------------------------------------------------------------------------------

    def opened(self, flow: Flow) -> list[Close]:
        """A stream is there: accepted, or ours."""
        if flow.connection not in self._framers:
            if len(self._framers) >= MAX_STREAMS:
                return [Close(flow)]
            self._framers[flow.connection] = StreamFramer()
        return []

    def read(self, event: StreamData) -> list[Request | Response | MessageError | Keepalive]:
        """The messages these bytes complete."""
        framer = self._framers.get(event.flow.connection)
        return framer.feed(event.data) if framer is not None else []

    def broken(self, flow: Flow) -> bool:
        """Whether the stream lost its message borders and must be closed."""
        framer = self._framers.get(flow.connection)
        return framer is not None and framer.broken

    def closed(self, flow: Flow) -> None:
        """The stream is gone; the next message to that backend opens another."""
        self._framers.pop(flow.connection, None)
        for name, known in list(self._backend_flows.items()):
            if known.connection == flow.connection and known.connection:
                del self._backend_flows[name]

    def is_open(self, flow: Flow) -> bool:
        """Whether this stream has not ended."""
        return flow.connection in self._framers

    @property
    def streams(self) -> int:
        """How many streams are open or being opened."""
        return len(self._framers)


def _hosts_of_one_backend(backends: tuple[BackendConfig, ...]) -> dict[str, str]:
    """Hosts that belong to one backend only; where two share a host, only the port tells them apart."""
    hosts = [backend.sip.address.host for backend in backends]
    return {
        backend.sip.address.host: backend.name for backend in backends if hosts.count(backend.sip.address.host) == 1
    }


def _own_hosts(config: Config) -> frozenset[str]:
    """Every host in a URI that means us."""
    hosts = {config.proxy.domain.lower()}
    if config.proxy.advertise is not None:
        hosts.add(config.proxy.advertise)
    hosts.update(listener.address.host for listener in config.proxy.sip.listen)
    return frozenset(hosts - set(WILDCARDS))
