"""Subscriptions at the PBX: busy lamps and message waiting (RFC 6665, RFC 4235, RFC 3842).

Every NOTIFY carries the full state, so that a subscriber needs no history.
"""

from __future__ import annotations

from collections.abc import Callable
from xml.sax.saxutils import quoteattr

from haproxy_voip.core.address import Flow
from haproxy_voip.embedded.exchange import Exchange
from haproxy_voip.embedded.stack import Stack
from haproxy_voip.sip.dialog import Dialog
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Response, header, response_to
from haproxy_voip.sip.transactions import RequestReceived, ServerTransaction

CONTENT_TYPES = {
    "dialog": "application/dialog-info+xml",
    "message-summary": "application/simple-message-summary",
}
MAX_SUBSCRIPTIONS = 10_000
EXPIRES_DEFAULT, EXPIRES_MAX = 3600, 3600  # seconds

# Of an event and a user: the body.
StateOf = Callable[[str, str], bytes]


class Subscription:
    """One dialog made by SUBSCRIBE."""

    def __init__(self, home: Subscriptions, dialog: Dialog, flow: Flow, watched: tuple[str, str]) -> None:
        self._home = home
        self.dialog = dialog
        self._flow = flow
        self.event, self.user = watched
        self._version = 0
        self._expires_at = 0.0

    def request(self, received: RequestReceived, now: float) -> None:
        """A refresh, or its end. Raises MessageError."""
        transaction = received.transaction
        self.dialog.accepts(received.request)
        if transaction is None:
            return
        if received.request.method != "SUBSCRIBE":
            raise MessageError("only SUBSCRIBE belongs here", 405)
        self.dialog.refresh_target(received.request)
        self.accept(transaction, now)

    def accept(self, transaction: ServerTransaction, now: float) -> None:
        """Answer a SUBSCRIBE and say how things are; `Expires: 0` ends it (RFC 6665 section 4.1.2.3)."""
        asked = transaction.request.expires
        expires = EXPIRES_DEFAULT if asked is None else min(asked, EXPIRES_MAX)
        stack = self._home.stack
        lines = [header("expires", str(expires)), header("contact", stack.contact("pbx", self._flow))]
        stack.answer(
            transaction, response_to(transaction.request, 200, to_tag=self.dialog.local_tag, headers=lines), now
        )
        self._expires_at = now + expires
        stack.alarms.set(self, self._expires_at if expires else None)
        self.notify(now)
        if not expires:
            self._home.forget(self)

    def notify(self, now: float) -> None:
        """Say how things are."""
        left = round(self._expires_at - now)
        stack, body = self._home.stack, self._home.state_of(self.event, self.user)
        lines = [
            header("event", self.event),
            header("subscription-state", f"active;expires={left}" if left > 0 else "terminated;reason=timeout"),
            header("contact", stack.contact("pbx", self._flow)),
            header("content-type", CONTENT_TYPES[self.event]),
        ]
        body = body.replace(b"{version}", str(self._version).encode())
        self._version += 1
        way = stack.flow_to(self.dialog.next_hop, self._flow)
        Exchange(stack, self.dialog, self._notified).start(self.dialog.request("NOTIFY", lines, body), way, now)

    def wake(self, now: float) -> None:
        """Nobody refreshed it."""
        self.notify(now)
        self._home.forget(self)

    def _notified(self, response: Response, now: float) -> None:
        # RFC 6665 section 4.2.2: a NOTIFY that fails ends the subscription.
        if response.status >= 300 and response.status not in (401, 407):
            self._home.forget(self)


class Subscriptions:
    """All of them."""

    def __init__(self, stack: Stack, state_of: StateOf) -> None:
        self.stack = stack
        self.state_of = state_of
        self._watchers: dict[tuple[str, str], dict[Subscription, None]] = {}
        self._count = 0

    def subscribe(self, transaction: ServerTransaction, now: float) -> None:
        """Take a SUBSCRIBE outside any dialog. Raises MessageError."""
        request = transaction.request
        event = (request.get("event") or "").partition(";")[0].strip()
        if event not in CONTENT_TYPES:
            raise MessageError(f"event {event!r}", 489, (header("allow-events", ", ".join(CONTENT_TYPES)),))
        if self._count >= MAX_SUBSCRIPTIONS:
            raise MessageError("too many subscriptions", 503)
        dialog = Dialog.from_request_uas(request, self.stack.chance.token())
        dialog.confirm()
        watched = event, request.request_uri.username
        subscription = Subscription(self, dialog, transaction.flow, watched)
        self._watchers.setdefault(watched, {})[subscription] = None
        self._count += 1
        self.stack.dialogs[dialog.key] = subscription
        subscription.accept(transaction, now)

    def changed(self, event: str, user: str, now: float) -> None:
        """Tell everybody who watches this."""
        for subscription in list(self._watchers.get((event, user), ())):
            subscription.notify(now)

    def forget(self, subscription: Subscription) -> None:
        """It is over."""
        watched = subscription.event, subscription.user
        watchers = self._watchers.get(watched, {})
        if subscription in watchers:
            del watchers[subscription]
            self._count -= 1
            if not watchers:
                del self._watchers[watched]
        self.stack.dialogs.pop(subscription.dialog.key, None)
        self.stack.alarms.set(subscription, None)


def dialog_info(user: str, realm: str, states: list[str]) -> bytes:
    """RFC 4235: the user's calls; `{version}` is for each subscription to fill in."""
    dialogs = "".join(
        f'  <dialog id="{number}"><state>{state}</state></dialog>\r\n' for number, state in enumerate(states)
    )
    return (
        '<?xml version="1.0"?>\r\n<dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="{version}" '
        f'state="full" entity={quoteattr(f"sip:{user}@{realm}")}>\r\n{dialogs}</dialog-info>\r\n'
    ).encode()


def message_summary(waiting: int, heard: int) -> bytes:
    """RFC 3842: how many voice messages wait."""
    return f"Messages-Waiting: {'yes' if waiting else 'no'}\r\nVoice-Message: {waiting}/{heard}\r\n".encode()
