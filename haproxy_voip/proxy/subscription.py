"""One subscription (RFC 6665), or the one a REFER outside a dialog implies (RFC 3515): a pair of dialogs.

The subscriber is a client and the notifier a backend, or the other way round. Whatever becomes of the notifier's
dialog, the subscriber's goes on: its CSeq numbers continue when another backend notifies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from haproxy_voip.core.address import Flow
from haproxy_voip.proxy.bridge import DIALOG_GONE
from haproxy_voip.proxy.farewell import Silent
from haproxy_voip.proxy.invitation import Invitation
from haproxy_voip.proxy.leg import Leg, Side
from haproxy_voip.proxy.shared import Output, Shared
from haproxy_voip.sip.dialog import Dialog
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Header, Message, Request, Response, header

if TYPE_CHECKING:
    from haproxy_voip.proxy.subscriptions import Subscriptions

# Kept a little longer than promised: the last NOTIFY may be under way (RFC 6665 timer N, 64*T1).
GRACE_SECONDS = 32.0
DEFAULT_EXPIRES = 3600
EXPIRES_MAX = 86_400  # what a notifier may grant; longer ones are refreshed like this one
# A subscriber that lost its notifier tries again after so many seconds (RFC 6665 section 4.1.3, probation).
PROBATION_SECONDS = 2


class Subscription:
    """Implements `Bridge`."""

    __slots__ = (
        "_expires_at", "_home", "_shared", "backend", "hidden", "notifier", "original", "over", "subscriber", "target",
        "token", "user",
    )  # fmt: skip

    def __init__(self, home: Subscriptions, shared: Shared, target: Invitation, original: Request, token: str) -> None:
        self._home = home
        self._shared = shared
        self.target = target
        self.backend = target.backend
        self.user = target.user
        self.original = original
        self.token = token
        self.hidden: tuple[str, ...] = ()  # hosts of the subscriber's side
        self.subscriber: Leg | None = None
        self.notifier: Leg | None = None
        self.over = False
        self._expires_at = 0.0

    @property
    def trunk(self) -> None:
        """There are none with trunks."""
        return None

    # -- making it ----------------------------------------------------------------------------------

    def begin(self, flow: Flow, hidden: tuple[str, ...]) -> None:
        """The subscriber's dialog with us. Raises MessageError when its request cannot make one."""
        dialog = Dialog.from_request_uas(self.original, self._shared.chance.token())
        dialog.confirm()
        contact = self._shared.network.contact(self.token, flow)
        self.hidden = hidden
        self.subscriber = Leg(self.target.side.other, dialog, flow, contact, self, hidden=hidden)
        self._shared.legs.add(self.subscriber)

    def notified_by(self, dialog: Dialog, flow: Flow) -> Leg:
        """Our dialog with the notifier: its 200, or its first NOTIFY."""
        contact = self._shared.network.contact(self.token, flow)
        hidden = self.target.hidden
        leg = self.notifier = Leg(self.target.side, dialog, flow, contact, self, hidden=hidden, peer=self.subscriber)
        self._shared.legs.add(leg)
        if self.subscriber is not None:
            self.subscriber.peer = leg
        return leg

    def lasts(self, seconds: float, now: float) -> None:
        """It was granted, or refreshed, for so long."""
        self._expires_at = now + min(seconds, EXPIRES_MAX)
        self._shared.alarms.set(self, self._expires_at + GRACE_SECONDS)

    def remaining(self, now: float) -> int:
        """Seconds until the subscriber must refresh."""
        return max(0, int(self._expires_at - now))

    @property
    def movable(self) -> bool:
        """Whether another backend can take the notifier's place. The answer to a REFER is that backend's alone."""
        return self.target.side is Side.BACKEND and self.original.method == "SUBSCRIBE"

    # -- moving it ----------------------------------------------------------------------------------

    def lose_notifier(self, now: float) -> list[Output]:
        """Its backend is gone; what the subscriber asked it will not be answered."""
        outputs: list[Output] = []
        if self.notifier is not None:
            self._shared.legs.remove(self.notifier)
            self.notifier.peer = None
            self.notifier = None
        if self.subscriber is not None:
            self.subscriber.peer = None
            for forward in list(self.subscriber.pending):
                outputs += forward.give_up(now)
                if forward.transaction is not None:
                    self._shared.transactions.abandon(forward.transaction)
        return outputs

    def again(self, seconds: int) -> Request:
        """The SUBSCRIBE as it came, for the backend that is the target now."""
        topology = self._shared.topology
        request = self.target.request(
            self._shared, self.original, self._shared.network.contact(self.token, self.target.flow)
        )
        request.headers.extend(topology.carried(self.original, self.hidden))
        request.set("expires", str(seconds))
        request.body = topology.body(self.original, self.hidden)
        return request

    # -- ending it ----------------------------------------------------------------------------------

    def terminate(self, reason: str, now: float) -> list[Output]:
        """It cannot go on: tell the subscriber, who may try again (RFC 6665 section 4.1.3 has the reasons)."""
        subscriber = self.subscriber
        tell = subscriber is not None and subscriber.side is Side.CLIENT and not self.over
        outputs: list[Output] = []
        if tell and subscriber is not None:
            notify = subscriber.dialog.request("NOTIFY", self._state(reason, subscriber.contact))
            if self.original.method == "REFER":
                # RFC 3515 section 2.4.5: the last NOTIFY says what became of the reference.
                notify.headers.append(header("Content-Type", "message/sipfrag;version=2.0"))
                notify.body = b"SIP/2.0 503 Service Unavailable\r\n"
            outputs = self._shared.ask(notify, subscriber.flow, Silent(), now)[1]
        self.close()
        return outputs

    def _state(self, reason: str, contact: str) -> list[Header]:
        event = "refer" if self.original.method == "REFER" else self.original.get("event") or "presence"
        retry = f";retry-after={PROBATION_SECONDS}" if reason == "probation" else ""
        return [
            header("Event", event),
            header("Subscription-State", f"terminated;reason={reason}{retry}"),
            header("Contact", contact),
        ]

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
        """State documents without hosts of the sender's side."""
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

    def crossed(self, request: Request, answer: Response | None, far: Leg, now: float) -> list[Output]:
        """A request in it was answered: it may prolong or end the subscription."""
        if request.method not in ("SUBSCRIBE", "NOTIFY") or self.over:
            return []
        if answer is None or answer.status in DIALOG_GONE:
            return self.gone(far, "no answer" if answer is None else str(answer.status), now)
        if request.method == "NOTIFY":
            self._notified(request, now)
        elif answer.status < 300:
            granted = request.expires if answer.expires is None else answer.expires
            self.lasts(DEFAULT_EXPIRES if granted is None else granted, now)
        return []

    def _notified(self, notify: Request, now: float) -> None:
        state, _, parameters = (notify.get("subscription-state") or "").lower().partition(";")
        if state.strip() == "terminated":
            self.lasts(0, now)
            return
        for parameter in parameters.split(";"):
            name, _, value = parameter.partition("=")
            if name.strip() == "expires" and value.strip().isdigit():
                self.lasts(int(value.strip()[:9]), now)

    def gone(self, leg: Leg, reason: str, now: float) -> list[Output]:
        """One side no longer knows the dialog, or is not there. The notifier learns of it from our 481."""
        if leg is self.notifier and reason == "no answer":
            return self.terminate("deactivated", now)
        self.close()
        return []

    def end(self, reason: str, now: float) -> list[Output]:
        """The two sides no longer agree."""
        return self.terminate("deactivated", now)
