"""The registrations of phones at backends that authenticate them, passed on one by one (`authentication: backend`).

We hold no credentials, so we can register nobody: a backend knows a phone from the REGISTER that the phone itself sent
while that backend was the active one, and until that expires. After a failover the next backend knows a phone again
when it has refreshed its registration; `timers.relayed_expires` says how soon that is, because it is the most that a
phone is granted.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

from haproxy_voip.configuration.model import Config
from haproxy_voip.core.address import Flow
from haproxy_voip.proxy.inquiry import Inquiries, Inquiry
from haproxy_voip.proxy.invitation import Invitation
from haproxy_voip.proxy.registrar import Registrar, registration_rules
from haproxy_voip.proxy.registration import granted_to
from haproxy_voip.proxy.shared import Output, Shared, hops_left
from haproxy_voip.proxy.upstream import Upstream
from haproxy_voip.sip.bindings import Binding
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Request, Response, header
from haproxy_voip.sip.registration import ContactUpdate, Registration, RegistrationRules
from haproxy_voip.sip.transactions import ServerTransaction
from haproxy_voip.sip.uri import Uri

KEY_BYTES = 32
CALL_ID_BYTES = 16


class Entrusted(Upstream):
    """Which backend took which binding's last REGISTER. Nothing is asked of any."""

    def __init__(self, shared: Shared) -> None:
        super().__init__(shared, list)
        self._taken: dict[Binding, str] = {}

    def add(self, binding: Binding, now: float) -> list[Output]:
        """Its phone has told the backend already."""
        return []

    def took(self, binding: Binding, backend: str) -> None:
        """This backend accepted it, or its refresh."""
        self._taken[binding] = backend

    def remove(self, binding: Binding, now: float) -> list[Output]:
        """It is gone; a backend that does not know will be told 404 when it calls."""
        self._taken.pop(binding, None)
        return []

    def went(self, backend: str, now: float) -> list[Output]:
        """What it knew is of no use."""
        self._forget(backend)
        return super().went(backend, now)

    def restarted(self, backend: str, now: float) -> list[Output]:
        """It may have forgotten everything, and we cannot tell."""
        self._forget(backend)
        return []

    def _forget(self, backend: str) -> None:
        for binding, where in self._taken.items():
            if where == backend:
                self._taken[binding] = ""

    def counts(self, backend: str) -> tuple[int, int]:
        """How many registrations the backend holds; of the others nobody can say that they will ever be made."""
        return sum(where == backend for where in self._taken.values()), 0

    def unreachable(self, active: str | None, now: float) -> tuple[int, float | None]:
        """How many contacts the active backend does not know, and for how many seconds at most that lasts."""
        unknown = [binding.expires_at for binding, where in self._taken.items() if where != active or active is None]
        return len(unknown), max((at - now for at in unknown), default=None)


class PassedRegister(Inquiry):
    """One REGISTER of a phone on its way to the active backend, which knows the phone by a contact of ours."""

    __slots__ = ("_call_id", "_registrar", "_registration")

    def __init__(
        self, registrar: PassingRegistrar, server: ServerTransaction, target: Invitation, registration: Registration
    ) -> None:
        super().__init__(registrar.inquiries, server, (), target)
        self._registrar = registrar
        self._registration = registration
        self._call_id = registrar.call_id(server.request)

    def _asked(self) -> Request:
        """The contacts are ours; From, To, Request-URI and credentials are the phone's.

        Call-ID and CSeq go on from one REGISTER of the phone to the next: CSeq orders them (RFC 3261 section 10.3 step
        7), and some servers' nonces are good for one Call-ID.
        """
        shared, original = self._home.shared, self.server.request
        network, topology, flow = shared.network, shared.topology, self.target.flow
        uri = original.uri if original.request_uri.host.lower() == shared.config.proxy.domain.lower() else None
        headers = [
            header("Max-Forwards", str(hops_left(original))),
            header("From", f"{topology.identity(original.from_)};tag={shared.chance.token()}"),
            header("To", topology.identity(original.to)),
            header("Call-ID", self._call_id),
            header("CSeq", f"{original.cseq.number} REGISTER"),
        ]
        if self._registration.remove_all:
            headers += [header("Contact", "*"), header("Expires", "0")]
        contacts = self._registration.contacts
        for update in contacts:
            expires = "" if len(contacts) == 1 else f";expires={update.expires}"
            headers.append(header("Contact", network.contact(update.key, flow) + expires))
        if len(contacts) == 1:  # some servers read nothing but the header
            headers.append(header("Expires", str(contacts[0].expires)))
        headers += [item for item in original.headers if item[0] == "user-agent"]
        headers += self.target.proof(shared, original)
        return Request("REGISTER", uri or network.uri(self.target.backend), headers)

    def _answered(self, response: Response, now: float) -> list[Output]:
        if response.status >= 300:
            return super()._answered(response, now)
        for update in self._registration.contacts:
            update.expires = min(update.expires, int(granted_to(response, _is(update), update.expires)))
        proof = self._home.shared.proof(response, self.server, self.target.backend, now)
        try:
            return [*proof, *self._registrar.accepted(self._registration, self.server, self.target.backend, now)]
        except MessageError as error:
            return self._home.shared.refuse(self.server, error.status, now, error.headers)


class PassingRegistrar(Registrar):
    """Takes REGISTER of whoever sends it; what becomes of it is the active backend's to say."""

    def __init__(
        self, shared: Shared, upstream: Entrusted, inquiries: Inquiries, home: Callable[[str], str | None]
    ) -> None:
        super().__init__(shared, upstream)
        self._home = home  # where everything of a user goes that is no call
        self._entrusted = upstream
        self.inquiries = inquiries
        self._key = shared.chance.bytes(KEY_BYTES)

    def _rules(self, config: Config) -> RegistrationRules:
        rules = registration_rules(config)
        most = int(config.timers.relayed_expires)
        return RegistrationRules(
            min_expires=rules.min_expires,
            max_expires=min(rules.max_expires, most),
            default_expires=min(rules.default_expires, most),
            max_contacts=rules.max_contacts,
        )

    def call_id(self, request: Request) -> str:
        """Ours for the phone's: the same for the same, and it tells nothing of the phone."""
        text = f"{request.to.uri.username}\n{request.call_id}".encode("utf-8", "surrogateescape")
        return blake2b(text, digest_size=CALL_ID_BYTES, key=self._key).hexdigest()

    def register(self, user: str, transaction: ServerTransaction, flow: Flow, now: float) -> list[Output]:
        """Pass it on. Raises MessageError."""
        request = transaction.request
        registration = self._read(user, request, flow)
        for update in registration.contacts:
            known = self.bindings.about(user, update)
            update.key = self._shared.chance.token() if known is None else known.key
        backend = self._home(user)
        if backend is None:
            raise MessageError("no backend is up", status=503)
        target = Invitation.to_backend(self._shared, backend, user, request)
        return self.inquiries.take(PassedRegister(self, transaction, target, registration), now)

    def accepted(
        self, registration: Registration, transaction: ServerTransaction, backend: str, now: float
    ) -> list[Output]:
        """The backend took it. Raises MessageError where we cannot."""
        outputs = self._apply(registration, transaction, now)
        for update in registration.contacts:
            binding = self.bindings.about(registration.aor, update)
            if binding is not None:
                self._entrusted.took(binding, backend)
        return outputs


def _is(update: ContactUpdate) -> Callable[[Uri], bool]:
    return lambda uri: uri.user == update.key


def registrar(shared: Shared, upstream: Upstream, inquiries: Inquiries, home: Callable[[str], str | None]) -> Registrar:
    """The one that fits."""
    if isinstance(upstream, Entrusted):
        return PassingRegistrar(shared, upstream, inquiries, home)
    return Registrar(shared, upstream)
