"""The registrar our clients see (RFC 3261 section 10.3).

It answers at once and by itself; that the backends hear of a contact is upstream.py's business, and a client's
refresh never waits for them.
"""

from __future__ import annotations

from haproxy_voip.configuration.model import Config
from haproxy_voip.core.address import Flow
from haproxy_voip.proxy.facts import Registered, Unregistered
from haproxy_voip.proxy.isolation import apart
from haproxy_voip.proxy.keepalive import Keepalives
from haproxy_voip.proxy.shared import Output, Shared
from haproxy_voip.proxy.upstream import Upstream
from haproxy_voip.sip.bindings import Binding, Bindings
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Request, header, response_to
from haproxy_voip.sip.registration import Registration, RegistrationRules, read_registration
from haproxy_voip.sip.transactions import ServerTransaction


class Registrar:
    """Takes REGISTER requests of authenticated users. A binding's `aor` is the plain user name here."""

    def __init__(self, shared: Shared, upstream: Upstream) -> None:
        self._shared = shared
        self._upstream = upstream
        self.bindings = Bindings(self._rules(shared.config), shared.chance, shared.config.limits.max_registrations)
        self.keepalives = Keepalives(shared)

    def reconfigured(self) -> None:
        """Timers and limits may be others; what is registered stays as long as it was granted."""
        config = self._shared.config
        self.bindings.limit(self._rules(config), config.limits.max_registrations)

    def _rules(self, config: Config) -> RegistrationRules:
        return registration_rules(config)

    def register(self, user: str, transaction: ServerTransaction, flow: Flow, now: float) -> list[Output]:
        """Apply a REGISTER of this user. Raises MessageError; nothing is changed then."""
        return self._apply(self._read(user, transaction.request, flow), transaction, now)

    def _read(self, user: str, request: Request, flow: Flow) -> Registration:
        registration = read_registration(request, flow, self.bindings.rules)
        registration.aor = user
        return registration

    def _apply(self, registration: Registration, transaction: ServerTransaction, now: float) -> list[Output]:
        """Change the bindings and say so. Raises MessageError; nothing is changed then."""
        request, user, flow = transaction.request, registration.aor, registration.flow
        change = self.bindings.register(registration, now)
        self._shared.alarms.set(self, self.bindings.deadline)
        answer = response_to(request, 200, None, self._shared.chance.token())
        answer.headers.extend(header("Contact", binding.contact(now)) for binding in change.current)
        answer.headers.extend(header("Path", path) for path in registration.path)
        if any(contact.outbound for contact in registration.contacts) and "outbound" in request.option_tags(
            "supported"
        ):
            answer.add("Require", "outbound")  # RFC 5626 section 6: the flow will be used
        outputs = self._shared.answer(transaction, answer, now)
        for binding in (*change.added, *change.refreshed):
            self.keepalives.registered(binding, request, now)
        for binding in change.removed:
            outputs += self._gone(binding, "by its own wish", now)
        for binding in change.added:
            outputs += [Registered(user, binding.uri, flow), *self._upstream.add(binding, now)]
        return outputs

    def _gone(self, binding: Binding, reason: str, now: float) -> list[Output]:
        self.keepalives.forget(binding)
        return [Unregistered(binding.aor, binding.uri, reason), *self._upstream.remove(binding, now)]

    def wake(self, now: float) -> list[Output]:
        """Contacts that were not refreshed are gone."""
        expired = self.bindings.expire(now)
        self._shared.alarms.set(self, self.bindings.deadline)
        return [output for binding in expired for output in apart(self._expired, binding, now)]

    def _expired(self, binding: Binding, now: float) -> list[Output]:
        return self._gone(binding, "expired", now)

    def reachable(self, binding: Binding) -> bool:
        """Whether the flow its REGISTER came by is still there (RFC 5626 section 5.3)."""
        return not binding.flow.connection or self._shared.network.is_open(binding.flow)

    def require_reachable(self, binding: Binding) -> None:
        """Raises MessageError when the client's connection is lost: 430 if it may have another one, else 480.

        RFC 5626 section 5.3: an edge proxy that finds "the flow no longer exists" answers 430, so that the next flow
        is tried. We keep the binding: a phone that reconnects registers the same one from there.
        """
        if not self.reachable(binding):
            raise MessageError(f"the connection of {binding.aor} is lost", status=430 if binding.reg_id else 480)


def registration_rules(config: Config) -> RegistrationRules:
    """How long and how many contacts may be."""
    return RegistrationRules(
        min_expires=int(config.timers.min_expires),
        max_expires=int(config.timers.max_expires),
        default_expires=int(config.timers.default_expires),
        max_contacts=config.limits.max_contacts,
    )
