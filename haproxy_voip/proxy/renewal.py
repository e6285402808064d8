"""A SUBSCRIBE of our own, which puts another notifier in the place of one that is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from haproxy_voip.proxy.challenges import Challenges
from haproxy_voip.proxy.shared import Output, Shared
from haproxy_voip.proxy.subscription import EXPIRES_MAX, GRACE_SECONDS, Subscription
from haproxy_voip.sip.dialog import Dialog
from haproxy_voip.sip.message import Request, Response
from haproxy_voip.sip.transactions import ClientTransaction

if TYPE_CHECKING:
    from haproxy_voip.proxy.subscriptions import Subscriptions

# How the subscriber is told of a refusal (RFC 6665 section 4.1.3); any other is `deactivated`: "try again at once".
REASONS = {403: "rejected", 489: "rejected", 603: "rejected", 404: "noresource", 410: "noresource", 604: "noresource"}


class Renewal:
    """Owner of that SUBSCRIBE."""

    __slots__ = ("_challenges", "_home", "_longer", "_shared", "_subscription", "_transaction", "request")

    def __init__(self, home: Subscriptions, shared: Shared, subscription: Subscription) -> None:
        self._home = home
        self._shared = shared
        self._subscription = subscription
        self._challenges = Challenges(shared.authentication, subscription.backend, subscription.user)
        self._longer = False
        self._transaction: ClientTransaction | None = None
        self.request: Request | None = None

    def start(self, seconds: int, now: float) -> list[Output]:
        """Ask the subscription's target."""
        return self._send(self._subscription.again(seconds), now)

    def _send(self, request: Request, now: float) -> list[Output]:
        self.request = request
        self._home.asked(self._subscription, request, self._subscription.target.flow)
        self._transaction, outputs = self._shared.ask(request, self._subscription.target.flow, self, now)
        return outputs

    def end(self, reason: str, now: float) -> list[Output]:
        """Its subscription cannot go on."""
        self._home.renewed(self._subscription)
        return self._subscription.end(reason, now)

    def abandon(self) -> None:
        """Whoever was asked is gone as well."""
        if self._transaction is not None:
            self._shared.transactions.abandon(self._transaction)

    def response(self, transaction: ClientTransaction, response: Response, now: float) -> list[Output]:
        """The next backend takes it, asks who we are, or does not want it."""
        subscription, sent, status = self._subscription, transaction.request, response.status
        if status < 200 or subscription.over:
            return []
        if status in (401, 407) and (again := self._challenges.again(response, sent)) is not None:
            return self._send(again, now)
        least = response.get("min-expires") or ""
        if status == 423 and not self._longer and least.isdigit() and int(least[:9]) <= EXPIRES_MAX:
            self._longer = True  # what is left of the subscriber's time is too short for this backend
            return self._send(subscription.again(int(least)), now)
        self._home.renewed(subscription)
        if status >= 300:
            return subscription.terminate("probation" if status >= 500 else REASONS.get(status, "deactivated"), now)
        if subscription.notifier is None:
            subscription.notified_by(Dialog.from_response_uac(sent, response), subscription.target.flow)
        left = subscription.remaining(now)
        self._shared.alarms.set(subscription, now + max(left, response.expires or 0) + GRACE_SECONDS)
        return []

    def failed(self, transaction: ClientTransaction, reason: str, now: float) -> list[Output]:
        """It does not answer."""
        self._home.renewed(self._subscription)
        return [] if self._subscription.over else self._subscription.terminate("probation", now)
