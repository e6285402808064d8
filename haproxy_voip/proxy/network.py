"""The node's place in the network: its own addresses, the backends' and the streams that are open.

Everything sent to a client goes back on the flow it came by (RFC 3581, RFC 5923); everything sent to a
backend goes to its configured endpoint, whatever its Contact says, over one stream that is kept.
"""

from __future__ import annotations

from collections.abc import Mapping

from haproxy_voip.configuration.model import Config
from haproxy_voip.core.address import Address, Endpoint, Flow, Transport, bracketed
from haproxy_voip.core.effects import Close, Open
from haproxy_voip.core.events import StreamData
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.framing import Keepalive, StreamFramer
from haproxy_voip.sip.message import Request, Response

# RFC 3261 section 18.1.1: "If a request is within 200 bytes of the path MTU, or if it is larger than 1300 bytes and the
# path MTU is unknown, the request MUST be sent using ... TCP". What the Via in front of it will add is allowed for.
MAX_DATAGRAM = 1300
VIA_BYTES = 100
# A UDP backend that took no TCP connection is not tried again for so long.
NO_TCP_SECONDS = 300.0

# Streams with a backend besides limits.max_connections, which counts those that others open: ours, and one for large
# requests.
OWN_STREAMS = 2

WILDCARDS = ("0.0.0.0", "::")


class NoListener(Exception):
    """No listener has the transport and address family this destination needs."""


class Network:
    """Flows, sent-by values and contacts; which backend an address is; framers of open streams."""

    def __init__(self, config: Config) -> None:
        self.former: dict[Endpoint, None] = {}  # UDP listeners that were removed and are still spoken over
        self._know(config, config.sip_endpoints)
        self._framers: dict[int, StreamFramer] = {}
        self._backend_flows: dict[str, Flow] = {}
        self._large_flows: dict[str, Flow] = {}  # to UDP backends, for requests that do not fit into a datagram
        self._no_tcp_until: dict[str, float] = {}
        self._unopened: set[int] = set()  # nothing was sent on them yet
        self._opening: set[int] = set()  # not connected yet
        self._never_opened = 0  # the last connection that could not be made
        self._opened = 0
        self._sent_by: dict[tuple[Transport, Address], str] = {}

    def reconfigure(self, config: Config, leaving: list[str]) -> None:
        """Be this from now on; where those that leave are stays known.

        What was written of us on a flow before is written on it again: whoever knows us by it shall not be confused.
        """
        listen = config.proxy.sip.listen
        removed = [one for one in self._listeners if one not in listen and one.transport is Transport.UDP]
        kept = {**self.former, **dict.fromkeys(removed)}
        self.former = {endpoint: None for endpoint in kept if endpoint not in listen}
        self._know(config, {name: self._endpoints[name] for name in leaving} | config.sip_endpoints)

    def forget(self, backend: str) -> list[Close]:
        """Nothing is left of a backend that was removed."""
        flows = [known.pop(backend, None) for known in (self._backend_flows, self._large_flows)]
        self._no_tcp_until.pop(backend, None)
        endpoints = {name: self._endpoints[name] for name in self._backends if name != backend}
        self._know(self._config, endpoints)
        return [Close(flow) for flow in flows if flow is not None and flow.connection in self._framers]

    def forget_trunk(self, trunk: str) -> None:
        """It is elsewhere from now on, or nowhere; a connection that is up ends when it is not needed any more."""
        self._backend_flows.pop(trunk, None)

    def _know(self, config: Config, backends: Mapping[str, Endpoint]) -> None:
        self._config = config
        self._listeners = config.proxy.sip.listen
        self._backends = list(backends)
        self._endpoints = {**backends, **config.trunk_endpoints}
        self._by_address = {endpoint.address: name for name, endpoint in backends.items()}
        self._by_host = _hosts_of_one_backend(backends)
        # Over UDP a trunk is sent datagrams, however large: few carriers take connections as well.
        self._trunk_hosts = {
            endpoint.address.host: name
            for name, endpoint in config.trunk_endpoints.items()
            if endpoint.transport is not Transport.UDP
        }
        self._max_streams = config.limits.max_connections + OWN_STREAMS * len(self._endpoints)
        self.own_hosts = _own_hosts(config)
        self.backend_hosts = tuple(dict.fromkeys(endpoint.address.host for endpoint in backends.values()))

    # -- who is who ---------------------------------------------------------------------------------

    def backend_at(self, remote: Address) -> str | None:
        """The backend that sends from here, or None for a client. Streams come from ports of their own."""
        return self._by_address.get(remote) or self._by_host.get(remote.host)

    def _streams_to(self, flow: Flow) -> str | None:
        """The backend or trunk that a stream with this peer is of, which may be opened anew."""
        return self.backend_at(flow.remote) or self._trunk_hosts.get(flow.remote.host)

    def endpoint(self, backend: str) -> Endpoint:
        """Where the backend, or trunk, is told to listen."""
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

    def uri(self, backend: str) -> str:
        """The Request-URI of what is asked of the backend itself."""
        transport, address = self._endpoints[backend]
        return f"sip:{address}" if transport is Transport.UDP else f"sip:{address};transport={transport}"

    def advertised_host(self, local: Address) -> str:
        """The host others shall use for this address of ours, in the same address family."""
        advertise = self._config.proxy.advertise
        if advertise is not None and (":" in advertise) == (":" in local.host):
            return advertise
        return local.host

    def _listener_for(self, flow: Flow) -> Endpoint:
        """The listener whose port others shall send to: the one this flow is of, else the most like it."""
        fitting = [
            listener
            for listener in self._listeners
            if listener.transport is flow.transport and listener.address.family == flow.remote.family
        ]
        if not fitting:
            raise NoListener(f"nothing listens on {flow.transport} for IPv{flow.remote.family}")
        return max(fitting, key=lambda listener: _likeness(listener.address, flow.local))

    # -- the way to a backend -----------------------------------------------------------------------

    def to_backend(self, backend: str) -> Flow:
        """The flow to this backend, or trunk; a stream is opened when something is first sent on it (`way`).

        Raises NoListener when no listener of ours fits its transport and address family.
        """
        flow = self._backend_flows.get(backend)
        if flow is not None:
            return flow
        transport, address = self._endpoints[backend]
        if transport is Transport.UDP:
            flow = self._backend_flows[backend] = Flow(transport, self.local_for(transport, address), address)
            return flow
        return self._connect(self._backend_flows, backend, transport)

    def way(self, flow: Flow, request: Request, now: float) -> tuple[Flow, list[Open]]:
        """The flow to really send this request on, and what must be done first.

        A backend's connection that ended is made anew. What is too large for a datagram goes to a backend by TCP.
        A client is always sent to on its own flow, however large: behind its NAT it accepts no connection, and a
        large datagram arrives in fragments, if at all, where a connection never does.
        """
        # A stream a backend opened is of a port of its own.
        backend = self._streams_to(flow) if flow.connection else self._by_address.get(flow.remote)
        if backend is None:
            return flow, []
        if not flow.connection and _size(request) + VIA_BYTES > MAX_DATAGRAM:
            flow = self._large(backend, flow, now)
        return self._usable(flow, backend)

    def way_back(self, flow: Flow) -> tuple[Flow, list[Open]]:
        """The flow for a response to what came on this one (RFC 3261 section 18.2.2).

        To a backend whose connection ended it goes over another one; a client would not be listening.
        """
        backend = None if flow.connection in self._framers else self._streams_to(flow)
        return (flow, []) if backend is None or not flow.connection else self._usable(flow, backend)

    def _usable(self, flow: Flow, backend: str) -> tuple[Flow, list[Open]]:
        if flow.connection and flow.connection not in self._framers:
            flow = self.to_backend(backend)
        if flow.connection in self._unopened:
            self._unopened.discard(flow.connection)
            return flow, [Open(flow)]
        return flow, []

    def _large(self, backend: str, flow: Flow, now: float) -> Flow:
        known = self._large_flows.get(backend)
        if known is not None:
            return known
        if now < self._no_tcp_until.get(backend, now):
            return flow
        try:
            return self._connect(self._large_flows, backend, Transport.TCP)
        except NoListener:
            return flow  # it could not answer

    def no_tcp(self, flow: Flow, now: float) -> Flow:
        """This connection to a UDP backend could not be made: the flow for datagrams, and so for a while."""
        backend = self._by_address[flow.remote]
        self._no_tcp_until[backend] = now + NO_TCP_SECONDS
        return self.to_backend(backend)

    def _connect(self, flows: dict[str, Flow], backend: str, transport: Transport) -> Flow:
        address = self._endpoints[backend].address
        local = self.local_for(transport, address)
        flow = flows[backend] = Flow(transport, local, address, self.next_connection())
        self._framers[flow.connection] = StreamFramer()
        self._unopened.add(flow.connection)
        self._opening.add(flow.connection)
        return flow

    def next_connection(self) -> int:
        """A number for a stream the node opens: even, never used before."""
        self._opened += 2
        return self._opened

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
        self._opening.discard(flow.connection)
        if flow.connection not in self._framers:
            if len(self._framers) >= self._max_streams:
                return [Close(flow)]
            self._framers[flow.connection] = StreamFramer()
        return []

    def read(self, event: StreamData) -> list[Request | Response | MessageError | Keepalive]:
        """The messages these bytes complete."""
        framer = self._framers.get(event.flow.connection)
        return framer.feed(event.data) if framer is not None else []

    def waits(self, flow: Flow) -> bool:
        """Whether a message has begun on this stream and not ended."""
        framer = self._framers.get(flow.connection)
        return framer is not None and framer.waits

    def broken(self, flow: Flow) -> bool:
        """Whether the stream lost its message borders and must be closed."""
        framer = self._framers.get(flow.connection)
        return framer is not None and framer.broken

    def closed(self, flow: Flow) -> None:
        """The stream is gone; the next message to that backend opens another."""
        self._framers.pop(flow.connection, None)
        if flow.connection in self._opening:
            self._opening.discard(flow.connection)
            self._never_opened = flow.connection
        for flows in (self._backend_flows, self._large_flows):
            for name, known in list(flows.items()):
                if known.connection == flow.connection:
                    del flows[name]

    def never_opened(self, flow: Flow) -> bool:
        """Whether the stream whose end was told last could not be made at all, so that nothing sent on it arrived."""
        return flow.connection == self._never_opened

    def is_open(self, flow: Flow) -> bool:
        """Whether this stream has not ended."""
        return flow.connection in self._framers

    @property
    def streams(self) -> int:
        """How many streams are open or being opened."""
        return len(self._framers)


def _likeness(listener: Address, local: Address) -> tuple[bool, bool]:
    """How well a listener fits a local address; one on every address is as good as one on this address."""
    here = listener.host == local.host or listener.host in WILDCARDS
    return (here and listener.port == local.port, listener.host == local.host)


def _size(request: Request) -> int:
    """About as many bytes as it has on the wire."""
    return len(request.body) + sum(len(line) + 2 for _, _, line in request.headers) + len(request.uri)


def _hosts_of_one_backend(endpoints: Mapping[str, Endpoint]) -> dict[str, str]:
    """Hosts that belong to one backend only; where two share a host, only the port tells them apart."""
    hosts = [endpoint.address.host for endpoint in endpoints.values()]
    return {
        endpoint.address.host: name for name, endpoint in endpoints.items() if hosts.count(endpoint.address.host) == 1
    }


def _own_hosts(config: Config) -> frozenset[str]:
    """Every host in a URI that means us."""
    hosts = {config.proxy.domain.lower()}
    if config.proxy.advertise is not None:
        hosts.add(config.proxy.advertise)
    hosts.update(listener.address.host for listener in config.proxy.sip.listen)
    return frozenset(hosts - set(WILDCARDS))
