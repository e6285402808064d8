"""Whom a call is for and how the INVITE (or any request outside a dialog) to them begins."""

from __future__ import annotations

from dataclasses import dataclass, replace

from haproxy_voip.core.address import Flow, Transport
from haproxy_voip.proxy.leg import Side
from haproxy_voip.proxy.shared import Shared, hops_left
from haproxy_voip.sip.bindings import Binding
from haproxy_voip.sip.message import Request, header
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
    binding: Binding | None = None  # the client's contact, where the far end is a client

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

    def at(self, shared: Shared, backend: str) -> Invitation:
        """The same at another backend."""
        flow = shared.network.to_backend(backend)
        return replace(self, backend=backend, flow=flow)

    def request(self, shared: Shared, original: Request, contact: str | None) -> Request:
        """A request of our own that asks the far end the same: start line and what belongs to the dialog."""
        tag = shared.chance.token()
        topology = shared.topology
        if self.binding is not None:
            uri, to = self.binding.uri, topology.identity(original.to, self.user)
        else:
            uri, to = self._backend_uri(shared, original), topology.identity(original.to)
        headers = [
            header("Max-Forwards", str(hops_left(original))),
            header("From", f"{topology.identity(original.from_)};tag={tag}"),
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
        """What the client dialled, at the backend's address."""
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
