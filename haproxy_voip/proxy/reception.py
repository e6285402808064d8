"""Where every request is received: who sent it, may they, and whose business is it."""

from __future__ import annotations

from dataclasses import dataclass

from haproxy_voip.core.address import Flow
from haproxy_voip.proxy.authentication import Challenged
from haproxy_voip.proxy.backends import Backends
from haproxy_voip.proxy.call import Call
from haproxy_voip.proxy.caller import Incoming
from haproxy_voip.proxy.calls import Calls
from haproxy_voip.proxy.facts import MessageRefused
from haproxy_voip.proxy.forward import Forward
from haproxy_voip.proxy.inquiry import Inquiries
from haproxy_voip.proxy.invitation import Invitation
from haproxy_voip.proxy.leg import Leg, Side
from haproxy_voip.proxy.network import WILDCARDS, NoListener
from haproxy_voip.proxy.registrar import Registrar
from haproxy_voip.proxy.shared import Output, Shared
from haproxy_voip.proxy.subscriptions import Subscriptions
from haproxy_voip.proxy.trunks import Trunk, Trunks
from haproxy_voip.proxy.upstream import Upstream
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Header, Request, header, response_to
from haproxy_voip.sip.transactions import RequestReceived, ServerTransaction

# Extensions that work end to end through us, because what they need crosses; any other in Require gets 420.
EXTENSIONS = (
    "100rel", "timer", "replaces", "norefersub", "tdialog", "join", "eventlist", "path", "outbound", "from-change",
    "histinfo", "answermode", "early-session", "precondition", "recipient-list-message", "multiple-refer",
    "explicitsub", "nosub", "resource-priority", "uui", "199",
)  # fmt: skip
METHODS = "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, UPDATE, PRACK, INFO, REFER, NOTIFY, SUBSCRIBE, MESSAGE, PUBLISH"
SUPPORTED = "path, outbound, replaces, timer, 100rel"
# RFC 3325 section 5: only who is trusted may say who somebody is, and a client is not.
ASSERTIONS = ("p-asserted-identity", "remote-party-id")


@dataclass(slots=True)
class Parts:
    """Those who take requests."""

    backends: Backends
    registrar: Registrar
    calls: Calls
    inquiries: Inquiries
    subscriptions: Subscriptions
    upstream: Upstream
    trunks: Trunks


class Reception:
    """Receives requests from the transaction layer."""

    def __init__(self, shared: Shared, parts: Parts) -> None:
        self._shared = shared
        self._parts = parts
        self._below_domain = f".{shared.config.proxy.domain.lower()}"

    def request(self, received: RequestReceived, now: float) -> list[Output]:
        """Take a request; a peer's mistake is answered with what the error carries."""
        transaction, request = received.transaction, received.request
        if transaction is None:
            return self._ack(request, received.flow, now)
        try:
            if request.method == "CANCEL":
                return self._cancel(received, transaction, now)
            if request.to.tag is not None:
                return self._in_dialog(transaction, request, received.flow, now)
            return self._outside(transaction, request, received.flow, now)
        except MessageError as error:
            fact = MessageRefused(received.flow, error.status, error.reason)
            outputs = [*self._shared.refuse(transaction, error.status, now, error.headers), fact]
            if error.status >= 500 and not self._shared.admission.overloaded:
                return outputs  # none of the sender's doing
            return outputs + self._unproven(received.flow, now)
        except NoListener as error:
            return [*self._shared.refuse(transaction, 500, now), MessageRefused(received.flow, 500, str(error))]

    def _unproven(self, flow: Flow, now: float) -> list[Output]:
        """Somebody asks who did not prove to be a user."""
        if self._shared.network.backend_at(flow.remote) is not None:
            return []
        return list(self._shared.sources.asked(flow, now))

    # -- inside a dialog ----------------------------------------------------------------------------

    def _ack(self, request: Request, flow: Flow, now: float) -> list[Output]:
        leg = self._leg(request, flow)
        if leg is None:
            return self._unproven(flow, now)
        waiting = leg.answers.get(request.cseq.number)
        if waiting is None:
            return []
        if leg.side is Side.CLIENT:
            leg.flow = flow
        try:
            return waiting.acknowledged(request, now)
        except MessageError as error:
            # The answer of a delayed offer is bad: there is no answer to an ACK, so the call ends.
            return leg.bridge.gone(leg, error.reason, now)

    def _leg(self, request: Request, flow: Flow) -> Leg | None:
        """The dialog this request is in; known tags from the wrong side of us are no better than unknown ones."""
        leg = self._shared.legs.find(request.call_id, request.to.tag or "", request.from_.tag or "")
        if leg is None:
            return None
        side = Side.CLIENT if self._shared.network.backend_at(flow.remote) is None else Side.BACKEND
        return leg if leg.side is side else None

    def _cancel(self, received: RequestReceived, transaction: ServerTransaction, now: float) -> list[Output]:
        """RFC 3261 section 9.2."""
        if received.cancels is None:
            return self._shared.refuse(transaction, 481, now)
        outputs = self._shared.refuse(transaction, 200, now)
        owner = received.cancels.owner
        if isinstance(owner, Call | Forward):
            return outputs + owner.cancelled(received.request, now)
        if owner is None and received.cancels.last_status is None:
            # It waits for its callee's registration (`Upstream.before_call`), which `_invite` will find in vain.
            return outputs + self._shared.refuse(received.cancels, 487, now)
        return outputs

    def _in_dialog(self, transaction: ServerTransaction, request: Request, flow: Flow, now: float) -> list[Output]:
        leg = self._leg(request, flow)
        if leg is None and request.method == "NOTIFY":
            leg = self._parts.subscriptions.early(request, flow)
        if leg is None:
            raise MessageError("no such dialog", status=481)
        self._check_extensions(request, ("proxy-require",))  # what Require names is between the two ends
        self._check_hops(request)
        leg.dialog.accepts(request)
        if leg.side is Side.CLIENT:
            leg.flow = flow
            self._parts.trunks.refuse_client(request)
        if not leg.trusted:
            _drop_assertions(request)
        leg.dialog.refresh_target(request)
        if isinstance(leg.bridge, Call):
            return leg.bridge.request(leg, transaction, now)
        leg.bridge.accept(request, leg)
        assert leg.peer is not None
        return Forward(self._shared, transaction, leg, leg.peer).start(now)

    # -- outside any dialog -------------------------------------------------------------------------

    def _outside(self, transaction: ServerTransaction, request: Request, flow: Flow, now: float) -> list[Output]:
        self._check_extensions(request)
        backend = self._shared.network.backend_at(flow.remote)
        if backend is not None:
            return self._from_backend(backend, transaction, request, now)
        self._shared.admission.admit(request)
        if request.method == "OPTIONS" and not request.request_uri.user:
            return self._options(transaction, now) + self._unproven(flow, now)
        self._check_hops(request)
        trunk = self._parts.trunks.calling(request, flow)
        if trunk is not None:
            return self._from_trunk(trunk, transaction, request, now)
        user = self._user(request, flow, now)
        if isinstance(user, Challenged):
            outputs = self._shared.refuse(transaction, user.status, now, user.headers)
            if user.fact is None:
                return outputs + self._unproven(flow, now)
            return [*outputs, user.fact, *self._shared.sources.mistake(flow, now, "wrong credentials")]
        if not self._shared.passing.on:
            self._shared.sources.proved(flow)
        self._parts.trunks.refuse_client(request)
        self._check_domain(request)
        if request.method == "REGISTER":
            return self._parts.registrar.register(user, transaction, flow, now)
        _drop_assertions(request)
        return self._from_client(user, transaction, request, now)

    def _user(self, request: Request, flow: Flow, now: float) -> str | Challenged:
        """Who sent this; where backends authenticate, who it claims to be. Raises MessageError."""
        if not self._shared.passing.on:
            return self._shared.authentication.check(request, flow, now)
        user = (request.to if request.method == "REGISTER" else request.from_).uri.username
        if not user:
            raise MessageError("names no user", status=403)
        return user

    def _from_trunk(self, trunk: Trunk, transaction: ServerTransaction, request: Request, now: float) -> list[Output]:
        """A carrier's call: by its address it is believed as a backend is, and for a number that backends know."""
        self._parts.trunks.refuse_client(request)
        backend = self._parts.calls.placing.choose("", trunk.dialled(request), request, now)
        hidden = self._shared.topology.hidden(Side.CLIENT, _hosts(request, transaction.flow))
        incoming = Incoming(transaction, request, transaction.flow, hidden)
        target = Invitation.from_trunk(self._shared, backend, trunk, request)
        return self._parts.upstream.before_call(
            self._parts.registrar.bindings.of(target.name), backend, lambda at: self._invite(incoming, target, at), now
        )

    def _from_client(self, user: str, transaction: ServerTransaction, request: Request, now: float) -> list[Output]:
        hidden = self._shared.topology.hidden(Side.CLIENT, _hosts(request, transaction.flow))
        if request.method == "INVITE":
            backend = self._parts.calls.placing.choose(user, "", request, now)
        else:
            backend = self._home(user)
        target = Invitation.to_backend(self._shared, backend, user, request)
        if request.method != "INVITE":
            return self._parts.inquiries.ask(transaction, hidden, target, now)
        self._parts.upstream.active(user, now)
        incoming = Incoming(transaction, request, transaction.flow, hidden)
        return self._parts.upstream.before_call(
            self._parts.registrar.bindings.of(target.name), backend, lambda at: self._invite(incoming, target, at), now
        )

    def _home(self, user: str) -> str:
        """The backend for what is no call."""
        backend = self._parts.backends.choice.home(user)
        if backend is None:
            raise MessageError("no backend is up and ready", status=503)
        return backend

    def _invite(self, incoming: Incoming, target: Invitation, now: float) -> list[Output]:
        if incoming.transaction.last_status is not None:
            return []  # cancelled while it waited
        try:
            return self._parts.calls.invite(incoming, target, now)
        except MessageError as error:
            return self._shared.refuse(incoming.transaction, error.status, now, error.headers)

    def _from_backend(self, backend: str, transaction: ServerTransaction, request: Request, now: float) -> list[Output]:
        """For a contact of ours, whose user part is the token of a client's contact, or for a number over a trunk."""
        trunk = self._parts.trunks.meant(request.request_uri)
        if trunk is not None:
            return self._to_trunk(trunk, backend, transaction, request, now)
        binding = self._parts.registrar.bindings.get(request.request_uri.user or "")
        if request.method == "OPTIONS" and not request.request_uri.user:
            self._shared.admission.admit(request)
            return self._options(transaction, now)
        if binding is None:
            raise MessageError("no such contact here (any more)", status=404)
        self._parts.registrar.require_reachable(binding)
        if request.method == "OPTIONS":
            # Whether a phone is there is for us to know; asking it for each backend would multiply.
            return self._options(transaction, now)
        self._check_hops(request)
        target = Invitation.to_client(self._shared, backend, binding)
        hidden = self._shared.topology.hidden(Side.BACKEND, ())
        if request.method != "INVITE":
            return self._parts.inquiries.ask(transaction, hidden, target, now)
        self._require_up(backend)
        self._parts.upstream.active(binding.aor, now)
        return self._parts.calls.invite(Incoming(transaction, request, transaction.flow, hidden), target, now)

    def _to_trunk(
        self, trunk: Trunk, backend: str, transaction: ServerTransaction, request: Request, now: float
    ) -> list[Output]:
        if request.method == "OPTIONS":
            return self._options(transaction, now)
        if request.method != "INVITE":
            raise MessageError("trunks take calls only", status=405, headers=(header("Allow", "INVITE, OPTIONS"),))
        self._check_hops(request)
        self._require_up(backend)
        target = Invitation.to_trunk(self._shared, backend, trunk, request)
        hidden = self._shared.topology.hidden(Side.BACKEND, ())
        return self._parts.calls.invite(Incoming(transaction, request, transaction.flow, hidden), target, now)

    def _require_up(self, backend: str) -> None:
        if not self._parts.backends.detectors[backend].up:
            # It slept, or is cut off one way. What it had to do went on elsewhere; the callee would ring twice.
            raise MessageError(f"{backend} counts as down", status=480)

    def _options(self, transaction: ServerTransaction, now: float) -> list[Output]:
        """About ourselves (RFC 3261 section 11)."""
        headers = [header("Allow", METHODS), header("Accept", "application/sdp"), header("Supported", SUPPORTED)]
        tag = self._shared.chance.token()
        return self._shared.answer(transaction, response_to(transaction.request, 200, None, tag, headers), now)

    # -- checks -------------------------------------------------------------------------------------

    def _check_hops(self, request: Request) -> None:
        if request.max_forwards == 0:
            raise MessageError("Max-Forwards is 0", status=483)

    def _check_domain(self, request: Request) -> None:
        """RFC 3261 section 21.4.5: 404 when "the domain in the Request-URI does not match any of the domains handled".

        Passed on it would reach a user of ours who has the same name as whoever was meant.
        """
        uri = request.request_uri
        if uri.is_sip and not self._serves(uri.host):
            raise MessageError(f"{uri.host} is not served here: it is not proxy.domain, nor below it", status=404)

    def _serves(self, host: str) -> bool:
        if host in self._shared.network.own_hosts or host.endswith(self._below_domain):
            return True
        # What of our addresses a phone knows is unknown to us where a listener has them all.
        listen = self._shared.config.proxy.sip.listen
        return _is_address(host) and any(endpoint.address.host in WILDCARDS for endpoint in listen)

    def _check_extensions(self, request: Request, names: tuple[str, ...] = ("require", "proxy-require")) -> None:
        """RFC 3261 section 8.2.2.3 and 16.3 step 5."""
        wanted = [tag for name in names if request.has(name) for tag in request.option_tags(name)]
        unknown: list[Header] = [header("Unsupported", tag) for tag in wanted if tag not in EXTENSIONS]
        if unknown:
            raise MessageError("unsupported extension", status=420, headers=tuple(unknown))


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


def _drop_assertions(request: Request) -> None:
    for name in ASSERTIONS:
        if request.has(name):
            request.remove(name)


def _hosts(request: Request, flow: Flow) -> tuple[str, ...]:
    """Hosts by which a client could be told: where it sends from and what it calls itself."""
    contacts = [contact.uri.host for contact in request.contacts if not contact.star]
    return (flow.remote.host, *contacts, request.top_via.host)
