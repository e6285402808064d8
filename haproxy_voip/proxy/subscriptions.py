"""Subscriptions of clients at backends (RFC 6665): busy lamps, message counts, transfers outside a dialog.

A subscription dies with its backend. The client's dialog does not: we subscribe again at the next backend, whose
first NOTIFY carries the full state into it.
"""

from __future__ import annotations

from dataclasses import dataclass

from haproxy_voip.core.address import Flow
from haproxy_voip.proxy.farewell import Silent
from haproxy_voip.proxy.inquiry import Inquiry
from haproxy_voip.proxy.invitation import Invitation
from haproxy_voip.proxy.leg import Leg, Side
from haproxy_voip.proxy.moves import Moves
from haproxy_voip.proxy.shared import Output, Shared
from haproxy_voip.sip.dialog import Dialog
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Message, Request, Response, header, response_to
from haproxy_voip.sip.transactions import ClientTransaction

MAX_SUBSCRIPTIONS = 50_000
# Kept a little longer than promised: the last NOTIFY may be under way (RFC 6665 timer N, 64*T1).
GRACE_SECONDS = 32.0
DEFAULT_EXPIRES = 3600


@dataclass(slots=True)
class Asked:
    """A SUBSCRIBE on its way, by which its first NOTIFY is recognised: it may overtake the 200."""

    subscription: Subscription
    request: Request
    flow: Flow


class Subscription:
    """A pair of dialogs: the subscriber's with us, ours with the notifier."""

    __slots__ = (
        "_expires_at", "_home", "_shared", "backend", "notifier", "original", "over", "subscriber", "target", "token",
        "user",
    )  # fmt: skip

    def __init__(self, home: Subscriptions, shared: Shared, target: Invitation, original: Request, token: str) -> None:
        self._home = home
        self._shared = shared
        self.target = target
        self.backend = target.backend
        self.user = target.user
        self.original = original
        self.token = token
        self.subscriber: Leg | None = None
        self.notifier: Leg | None = None
        self.over = False
        self._expires_at = 0.0

    # -- making it ----------------------------------------------------------------------------------

    def begin(self, flow: Flow, hidden: tuple[str, ...]) -> Leg:
        """The subscriber's dialog with us."""
        dialog = Dialog.from_request_uas(self.original, self._shared.chance.token())
        dialog.confirm()
        contact = self._shared.network.contact(self.token, flow)
        self.subscriber = Leg(self.target.side.other, dialog, flow, contact, self, hidden=hidden)
        self._shared.legs.add(self.subscriber)
        return self.subscriber

    def notified_by(self, dialog: Dialog, flow: Flow) -> None:
        """Our dialog with the notifier: its 200, or its first NOTIFY."""
        if self.notifier is not None:
            self._shared.legs.remove(self.notifier)
        contact = self._shared.network.contact(self.token, flow)
        hidden = self.target.hidden
        self.notifier = Leg(self.target.side, dialog, flow, contact, self, hidden=hidden, peer=self.subscriber)
        self._shared.legs.add(self.notifier)
        assert self.subscriber is not None
        self.subscriber.peer = self.notifier

    def lasts(self, seconds: float, now: float) -> None:
        """It was granted, or refreshed, for so long."""
        self._expires_at = now + seconds
        self._shared.alarms.set(self, self._expires_at + GRACE_SECONDS)

    def remaining(self, now: float) -> int:
        """Seconds until the subscriber must refresh."""
        return max(0, int(self._expires_at - now))

    # -- moving it ----------------------------------------------------------------------------------

    def move(self, successor: str, now: float) -> list[Output]:
        """Subscribe again at another backend."""
        if self.notifier is not None:
            self._shared.legs.remove(self.notifier)
            self.notifier = None
        if self.subscriber is not None:
            self.subscriber.peer = None
        self._home.rehome(self, successor)
        self.target = self.target.at(self._shared, successor)
        contact = self._shared.network.contact(self.token, self.target.flow)
        request = self.target.request(self._shared, self.original, contact)
        hidden = self.subscriber.hidden if self.subscriber is not None else ()
        request.headers.extend(self._shared.topology.carried(self.original, hidden))
        request.set("expires", str(self.remaining(now)))
        request.body = self._shared.topology.body(self.original, hidden)
        return [*self.target.opening, *self._home.send(self, request, Again(self), now)]

    def end(self, reason: str, now: float) -> list[Output]:
        """It cannot go on: tell the subscriber, who may try again (RFC 6665 section 4.1.3)."""
        outputs: list[Output] = []
        if self.subscriber is not None and not self.over and self.original.method == "SUBSCRIBE":
            notify = self.subscriber.dialog.request("NOTIFY")
            notify.headers += [
                header("Event", self.original.get("event") or "presence"),
                header("Subscription-State", f"terminated;reason={reason}"),
                header("Contact", self.subscriber.contact),
            ]
            outputs = self._shared.ask(notify, self.subscriber.flow, Silent(), now)[1]
        self.close()
        return outputs

    def close(self) -> None:
        """Nothing more is expected in either dialog."""
        self.over = True
        for leg in (self.subscriber, self.notifier):
            if leg is not None:
                self._shared.legs.remove(leg)
        self._shared.alarms.set(self, None)
        self._home.forget(self)

    def wake(self, now: float) -> list[Output]:
        """It was not refreshed."""
        self.close()
        return []

    # -- what Bridge asks ---------------------------------------------------------------------------

    def body_across(self, message: Message, leg: Leg) -> bytes:
        """State documents without hosts of the notifier's side."""
        return self._shared.topology.body(message, leg.hidden)

    def outputs_pending(self) -> list[Output]:
        """Nothing: there is no media."""
        return []

    def accept(self, request: Request, leg: Leg) -> None:
        """While it is being moved there is nobody to ask."""
        if request.method in ("INVITE", "BYE"):
            raise MessageError("no call in this dialog", status=481)
        if leg.peer is None:
            raise MessageError("being subscribed anew; try again", status=500)

    def passed(self, request: Request, leg: Leg, now: float) -> None:
        """A request crossed: it may prolong or end the subscription."""
        if request.method == "SUBSCRIBE":
            seconds = request.expires
            self.lasts(DEFAULT_EXPIRES if seconds is None else seconds, now)
        elif request.method == "NOTIFY" and (request.get("subscription-state") or "").lower().startswith("terminated"):
            self._shared.alarms.set(self, now + GRACE_SECONDS)

    def gone(self, leg: Leg, reason: str, now: float) -> list[Output]:
        """One side no longer knows the dialog."""
        if leg is self.notifier:
            return self.end("deactivated", now)
        self.close()
        return []


class Again:
    """Owner of the SUBSCRIBE that moves a subscription."""

    __slots__ = ("_challenged", "_subscription")

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription
        self._challenged = False

    def response(self, transaction: ClientTransaction, response: Response, now: float) -> list[Output]:
        """The next backend takes it, asks who we are, or does not want it."""
        if response.status < 200 or self._subscription.over:
            return []
        return self._subscription._home.moved(self._subscription, self, transaction, response, now)

    def failed(self, transaction: ClientTransaction, reason: str, now: float) -> list[Output]:
        """It does not answer."""
        return [] if self._subscription.over else self._subscription.end("probation", now)

    def challenged(self) -> bool:
        """Whether this is the second challenge."""
        before, self._challenged = self._challenged, True
        return before


class Subscriptions:
    """All of them, by backend."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._by_backend: dict[str, dict[Subscription, None]] = {backend.name: {} for backend in shared.config.backends}
        self._asked: dict[tuple[str, str], Asked] = {}  # Call-ID and our tag of a SUBSCRIBE without dialog yet

    def __len__(self) -> int:
        return sum(len(known) for known in self._by_backend.values())

    # -- a client's SUBSCRIBE or REFER was answered ------------------------------------------------

    def established(self, inquiry: Inquiry, response: Response, now: float) -> list[Output]:
        """A 2xx: two dialogs from now on, unless a NOTIFY made them already."""
        assert inquiry.request is not None
        sent = inquiry.request
        asked = self._asked.pop((sent.call_id, sent.from_.tag or ""), None)
        try:
            subscription = asked.subscription if asked is not None else self._new(inquiry)
            if subscription.notifier is None:
                subscription.notified_by(Dialog.from_response_uac(sent, response), inquiry.target.flow)
        except MessageError as error:
            return self._shared.refuse(inquiry.server, error.status, now)
        seconds = response.expires
        subscription.lasts(DEFAULT_EXPIRES if seconds is None else seconds, now)
        leg = subscription.subscriber
        assert leg is not None
        answer = response_to(inquiry.server.request, response.status, response.reason, leg.dialog.local_tag)
        answer.headers.extend(item for item in inquiry.server.request.headers if item[0] == "record-route")
        answer.add("Contact", leg.contact)
        answer.headers.extend(self._shared.topology.carried(response, inquiry.target.hidden))
        answer.body = self._shared.topology.body(response, inquiry.target.hidden)
        return self._shared.answer(inquiry.server, answer, now)

    def expected(self, inquiry: Inquiry) -> None:
        """A SUBSCRIBE or REFER was sent; its NOTIFY may come before its 200."""
        if len(self) < MAX_SUBSCRIPTIONS and inquiry.request is not None:
            request = inquiry.request
            key = (request.call_id, request.from_.tag or "")
            self._asked[key] = Asked(self._new(inquiry), request, inquiry.target.flow)

    def _new(self, inquiry: Inquiry) -> Subscription:
        if len(self) >= MAX_SUBSCRIPTIONS:
            raise MessageError("too many subscriptions", status=503)
        subscription = Subscription(self, self._shared, inquiry.target, inquiry.server.request, inquiry.token)
        subscription.begin(inquiry.server.flow, inquiry.hidden)
        self._by_backend[subscription.backend][subscription] = None
        return subscription

    def early(self, notify: Request, flow: Flow) -> Leg | None:
        """The leg of a NOTIFY that overtook the answer to its SUBSCRIBE; None when it belongs to none."""
        asked = self._asked.get((notify.call_id, notify.to.tag or ""))
        if asked is None:
            return None
        dialog = Dialog.from_request_uas(notify, notify.to.tag or "")
        dialog.local_seq = asked.request.cseq.number
        dialog.confirm()
        asked.subscription.notified_by(dialog, asked.flow)
        return asked.subscription.notifier

    def refused(self, inquiry: Inquiry) -> None:
        """It was refused after all."""
        if inquiry.request is not None:
            asked = self._asked.pop((inquiry.request.call_id, inquiry.request.from_.tag or ""), None)
            if asked is not None:
                asked.subscription.close()

    # -- failover -----------------------------------------------------------------------------------

    def evacuate(self, backend: str, successor: str | None, moves: Moves, now: float) -> list[Output]:
        """Subscribe again at the successor, or tell the subscribers."""
        outputs: list[Output] = []
        for subscription in list(self._by_backend[backend]):
            movable = subscription.target.side is Side.BACKEND and subscription.original.method == "SUBSCRIBE"
            if successor is not None and movable and subscription.remaining(now) > 0:
                moves.move("subscriptions")
                outputs += subscription.move(successor, now)
            else:
                moves.lose("subscriptions")
                outputs += subscription.end("probation", now)
        return outputs

    def send(self, subscription: Subscription, request: Request, owner: Again, now: float) -> list[Output]:
        """Put a SUBSCRIBE of our own on its way."""
        self._asked[(request.call_id, request.from_.tag or "")] = Asked(subscription, request, subscription.target.flow)
        return self._shared.ask(request, subscription.target.flow, owner, now)[1]

    def moved(
        self, subscription: Subscription, owner: Again, transaction: ClientTransaction, response: Response, now: float
    ) -> list[Output]:
        """The successor's word."""
        sent = transaction.request
        self._asked.pop((sent.call_id, sent.from_.tag or ""), None)
        if response.status in (401, 407) and not owner.challenged():
            credentials = self._shared.answer_challenge(response, sent, subscription.target.user)
            if credentials is not None:
                headers = [item for item in sent.headers if item[0] not in ("via", "cseq", credentials[0])]
                headers += [header("CSeq", f"{sent.cseq.number + 1} {sent.method}"), credentials]
                return self.send(subscription, Request(sent.method, sent.uri, headers, sent.body), owner, now)
        if response.status >= 300:
            return subscription.end("deactivated", now)
        if subscription.notifier is None:
            subscription.notified_by(Dialog.from_response_uac(sent, response), subscription.target.flow)
        return []

    def rehome(self, subscription: Subscription, backend: str) -> None:
        """It is on another backend now."""
        self._by_backend[subscription.backend].pop(subscription, None)
        subscription.backend = backend
        self._by_backend[backend][subscription] = None

    def forget(self, subscription: Subscription) -> None:
        """It ended."""
        self._by_backend[subscription.backend].pop(subscription, None)
