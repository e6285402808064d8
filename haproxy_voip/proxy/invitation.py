"""Whom a call is for and how the INVITE (or any request outside a dialog) to them begins."""

from __future__ import annotations

from dataclasses import dataclass, replace

from haproxy_voip.core.address import Flow, Transport
from haproxy_voip.proxy.leg import Side
from haproxy_voip.proxy.shared import Shared, hops_left
from haproxy_voip.proxy.topology import TOKEN_HEADER, TRUNK_HEADER
from haproxy_voip.proxy.trunks import Trunk
from haproxy_voip.sip.bindings import Binding
from haproxy_voip.sip.message import Header, Request, header
from haproxy_voip.sip.uri import Uri


@dataclass(frozen=True, slots=True)
class Invitation:
    """The far end of a request that comes from outside any dialog."""

    side: Side
    backend: str  # where it goes, or where it came from
    user: str  # the client's user, whichever side it is on
    name: str  # whom the caller asked for, for people
    flow: Flow
    hidden: tuple[str, ...]  # hosts on the far side that must not be seen on the near one
    binding: Binding | None = None  # the client's contact, where the far end is a phone
    trunk: Trunk | None = None  # that stands in the client's place, whichever side it is on

    @classmethod
    def to_backend(cls, shared: Shared, backend: str, user: str, request: Request) -> Invitation:
        """A client's request, for this backend. Raises NoListener."""
        flow = shared.network.to_backend(backend)
        hidden = shared.topology.hidden(Side.BACKEND, ())
        return cls(Side.BACKEND, backend, user, _dialled(request), flow, hidden)

    @classmethod
    def to_client(cls, shared: Shared, backend: str, binding: Binding) -> Invitation:
        """A backend's request, for this contact of a user."""
        hosts = (binding.flow.remote.host, Uri.parse(binding.uri).host)
        hidden = shared.topology.hidden(Side.CLIENT, hosts)
        return cls(Side.CLIENT, backend, binding.aor, binding.aor, binding.flow, hidden, binding)

    @classmethod
    def from_trunk(cls, shared: Shared, backend: str, trunk: Trunk, request: Request) -> Invitation:
        """A trunk's call, for this backend. Raises NoListener."""
        flow = shared.network.to_backend(backend)
        hidden = shared.topology.hidden(Side.BACKEND, ())
        return cls(Side.BACKEND, backend, "", trunk.dialled(request), flow, hidden, trunk=trunk)

    @classmethod
    def to_trunk(cls, shared: Shared, backend: str, trunk: Trunk, request: Request) -> Invitation:
        """A backend's call, for a number that this trunk leads to. Raises NoListener."""
        flow = shared.network.to_backend(trunk.name)
        hidden = shared.topology.hidden(Side.CLIENT, (flow.remote.host,))
        return cls(Side.CLIENT, backend, "", request.request_uri.user or "", flow, hidden, trunk=trunk)

    @property
    def key(self) -> str:
        """Whose calls should be on one backend: the client's user; of a trunk, who has none, the number's."""
        return self.user or self.name

    @property
    def inside(self) -> bool:
        """Whether it goes to a carrier, which is trusted with who somebody is."""
        return self.side is Side.CLIENT and self.trunk is not None

    @property
    def by_phone(self) -> bool:
        """Whether it comes from a phone, which proves itself to the backend where that authenticates."""
        return self.side is Side.BACKEND and self.trunk is None

    def proof(self, shared: Shared, original: Request) -> list[Header]:
        """The phone's own credentials, where the backend authenticates."""
        return shared.passing.credentials(original) if self.by_phone else []

    def marks(self, token: str) -> list[Header]:
        """What tells a backend which call this is, and over which trunk it came."""
        if self.side is Side.CLIENT:
            return []
        trunk = [] if self.trunk is None else [header(TRUNK_HEADER, self.trunk.name)]
        return [header(TOKEN_HEADER, token), *trunk]

    def reaches(self, other: Invitation) -> bool:
        """Whether both are for the same phone, or for the same number over the same trunk."""
        if self.side is other.side is Side.CLIENT and self.binding is other.binding and self.trunk is other.trunk:
            return self.trunk is None or self.name == other.name
        return False

    def at(self, shared: Shared, backend: str) -> Invitation:
        """The same at another backend."""
        flow = shared.network.to_backend(backend)
        return replace(self, backend=backend, flow=flow)

    def request(self, shared: Shared, original: Request, contact: str | None) -> Request:
        """A request of our own that asks the far end the same: start line and what belongs to the dialog."""
        tag = shared.chance.token()
        topology = shared.topology
        domain = None
        if self.binding is not None:
            uri, to = self.binding.uri, topology.identity(original.to, self.user)
        elif self.side is Side.CLIENT:
            assert self.trunk is not None
            uri, domain = self.trunk.uri(self.name), self.trunk.domain
            to = f"<{uri}>"
        else:
            uri, to = self._backend_uri(shared, original), topology.identity(original.to)
        headers = [
            header("Max-Forwards", str(hops_left(original))),
            header("From", f"{topology.identity(original.from_, None, domain)};tag={tag}"),
            header("To", to),
            header("Call-ID", shared.chance.token()),
            header("CSeq", f"1 {original.method}"),
        ]
        if contact is not None:
            headers.append(header("Contact", contact))
        if self.binding is not None:
            headers.extend(header("Route", path) for path in self.binding.path)
        return Request(original.method, uri, headers)

    def _backend_uri(self, shared: Shared, original: Request) -> str:
        """What the client dialled, at the backend's address.

        Where credentials pass through it is what the client wrote, if that is in our domain: their hash is over it, and
        a server may compare (RFC 7616 section 3.4.6).
        """
        ours = original.request_uri.host.lower() == shared.config.proxy.domain.lower()
        if shared.passing.on and self.by_phone and ours:
            return original.uri
        transport, address = shared.network.endpoint(self.backend)
        user = "" if not self.name else f"{self.name}@"
        suffix = "" if transport is Transport.UDP else f";transport={transport}"
        if original.request_uri.scheme == "tel" or original.request_uri.param("user") == "phone":
            suffix = f";user=phone{suffix}"
        return f"sip:{user}{address}{suffix}"


def _dialled(request: Request) -> str:
    """The user part of the Request-URI as written, or the number of a tel URI."""
    uri: Uri = request.request_uri
    if uri.scheme == "tel":
        return uri.opaque.partition(";")[0]
    return uri.user or ""
