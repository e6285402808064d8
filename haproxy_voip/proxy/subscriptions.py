"""Subscriptions at the backends (RFC 6665): busy lamps, message counts, transfers outside a dialog.

A subscription dies with its backend. The client's dialog does not: we subscribe again at the next backend, whose
first NOTIFY carries the full state into it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from haproxy_voip.cluster.decisions import Decision, Thing, decide
from haproxy_voip.core.address import Flow
from haproxy_voip.proxy.inquiry import Inquiry
from haproxy_voip.proxy.isolation import apart
from haproxy_voip.proxy.leg import Leg
from haproxy_voip.proxy.moves import Moves
from haproxy_voip.proxy.renewal import Renewal
from haproxy_voip.proxy.shared import Output, Shared
from haproxy_voip.proxy.subscription import DEFAULT_EXPIRES, Subscription
from haproxy_voip.sip.dialog import Dialog
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Request, Response, response_to

MAX_SUBSCRIPTIONS = 50_000

Key = tuple[str, str]  # Call-ID and our tag of a SUBSCRIBE or REFER without dialog yet


@dataclass(slots=True)
class Asked:
    """A SUBSCRIBE or REFER on its way, by which its first NOTIFY is recognised: it may overtake the 200."""

    subscription: Subscription
    request: Request
    flow: Flow


class Subscriptions:
    """All of them, by backend."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._by_backend: defaultdict[str, dict[Subscription, None]] = defaultdict(dict)
        self._asked: dict[Key, Asked] = {}
        self._keys: dict[Subscription, Key] = {}
        self._renewals: dict[Subscription, Renewal] = {}

    def __len__(self) -> int:
        return sum(len(known) for known in self._by_backend.values())

    # -- a SUBSCRIBE or REFER goes across -----------------------------------------------------------

    def expected(self, inquiry: Inquiry) -> None:
        """It is being sent, for the first time or with credentials. Raises MessageError when it cannot be taken."""
        assert inquiry.request is not None
        known = self._asked.get(_key(inquiry.request))
        if known is not None:
            known.request = inquiry.request
            return
        if len(self) >= MAX_SUBSCRIPTIONS:
            raise MessageError("too many subscriptions", status=503)
        subscription = Subscription(self, self._shared, inquiry.target, inquiry.server.request, inquiry.token)
        subscription.begin(inquiry.server.flow, inquiry.hidden)
        self._by_backend[subscription.backend][subscription] = None
        self.asked(subscription, inquiry.request, inquiry.target.flow)

    def asked(self, subscription: Subscription, request: Request, flow: Flow) -> None:
        """This request shall make the notifier's dialog."""
        self.settled(subscription)
        key = self._keys[subscription] = _key(request)
        self._asked[key] = Asked(subscription, request, flow)

    def settled(self, subscription: Subscription) -> None:
        """It was answered."""
        key = self._keys.pop(subscription, None)
        if key is not None:
            del self._asked[key]

    def established(self, inquiry: Inquiry, response: Response, now: float) -> list[Output]:
        """A 2xx: two dialogs from now on, unless a NOTIFY made them already."""
        assert inquiry.request is not None
        sent = inquiry.request
        asked = self._asked.get(_key(sent))
        if asked is None:  # an early NOTIFY was refused, so the subscriber wants no more of it
            return self._shared.refuse(inquiry.server, 500, now)
        subscription = asked.subscription
        self.settled(subscription)
        try:
            if subscription.notifier is None:
                subscription.notified_by(Dialog.from_response_uac(sent, response), inquiry.target.flow)
            seconds = _granted(response)
        except MessageError:
            subscription.close()
            return self._shared.refuse(inquiry.server, 502, now)
        subscription.lasts(seconds, now)
        leg, target = subscription.subscriber, inquiry.target
        assert leg is not None
        answer = response_to(inquiry.server.request, response.status, response.reason, leg.dialog.local_tag)
        answer.headers.extend(item for item in inquiry.server.request.headers if item[0] == "record-route")
        answer.add("Contact", leg.contact)
        answer.headers.extend(self._shared.topology.carried(response, target.hidden))
        answer.body = self._shared.topology.body(response, target.hidden)
        return self._shared.answer(inquiry.server, answer, now)

    def early(self, notify: Request, flow: Flow) -> Leg | None:
        """The leg of a NOTIFY that overtook the answer to its SUBSCRIBE; None when it belongs to none.

        A second notifier, where the SUBSCRIBE was forked, is not wanted (RFC 6665 section 4.1.2.4): it gets 481.
        """
        asked = self._asked.get((notify.call_id, notify.to.tag or ""))
        if asked is None or asked.subscription.notifier is not None:
            return None
        dialog = Dialog.from_request_uas(notify, notify.to.tag or "")
        dialog.local_seq = asked.request.cseq.number
        dialog.confirm()
        return asked.subscription.notified_by(dialog, asked.flow)

    def refused(self, inquiry: Inquiry) -> None:
        """It was refused, or nobody answered."""
        asked = None if inquiry.request is None else self._asked.get(_key(inquiry.request))
        if asked is not None:
            asked.subscription.close()

    def forget(self, subscription: Subscription) -> None:
        """It ended."""
        self._by_backend[subscription.backend].pop(subscription, None)
        self.settled(subscription)
        self._abandon_renewal(subscription)

    def on(self, backend: str) -> int:
        """How many are there."""
        return len(self._by_backend[backend])

    def drop(self, backend: str) -> None:
        """It was removed, and nothing is there."""
        self._by_backend.pop(backend, None)

    # -- failover -----------------------------------------------------------------------------------

    def evacuate(self, backend: str, home: Callable[[str], str | None], moves: Moves, now: float) -> list[Output]:
        """Subscribe again at the backend that is each user's home now, or tell the subscribers."""
        outputs: list[Output] = []
        for subscription in list(self._by_backend[backend]):
            outputs += apart(lambda one, at: self._carry_out(one, home(one.target.key), moves, at), subscription, now)
        return outputs

    def _carry_out(self, subscription: Subscription, successor: str | None, moves: Moves, now: float) -> list[Output]:
        another = successor is not None and subscription.movable and subscription.remaining(now) > 0
        if successor is not None and decide(Thing.SUBSCRIPTION, another=another) is Decision.SUBSCRIBE_AGAIN:
            moves.move("subscriptions")
            return self.move(subscription, successor, now)
        moves.lose("subscriptions")
        return subscription.terminate("probation", now)

    def restarted(self, backend: str, now: float) -> list[Output]:
        """The backend forgot them. If it did not after all, its NOTIFYs in the old dialogs get 481 and it ends them."""
        outputs: list[Output] = []
        for subscription in list(self._by_backend[backend]):
            if subscription.movable and subscription.notifier is not None and subscription.remaining(now) > 0:
                outputs += self.move(subscription, backend, now)
        return outputs

    def move(self, subscription: Subscription, backend: str, now: float) -> list[Output]:
        """Subscribe again at this backend for the rest of the time."""
        outputs = subscription.lose_notifier(now)
        self._abandon_renewal(subscription)
        self._by_backend[subscription.backend].pop(subscription, None)
        subscription.backend = backend
        subscription.target = subscription.target.at(self._shared, backend)
        self._by_backend[backend][subscription] = None
        renewal = self._renewals[subscription] = Renewal(self, self._shared, subscription)
        return outputs + renewal.start(subscription.remaining(now), now)

    def renewed(self, subscription: Subscription) -> None:
        """Its renewal is done with."""
        self.settled(subscription)
        self._renewals.pop(subscription, None)

    def _abandon_renewal(self, subscription: Subscription) -> None:
        renewal = self._renewals.pop(subscription, None)
        if renewal is not None:
            renewal.abandon()


def _key(request: Request) -> Key:
    return (request.call_id, request.from_.tag or "")


def _granted(response: Response) -> int:
    """How long it lasts; not at all where a REFER's sender wanted no subscription (RFC 4488)."""
    if (response.get("refer-sub") or "").lower().startswith("false"):
        return 0
    return DEFAULT_EXPIRES if response.expires is None else response.expires
