"""What becomes of each thing that was on a backend when it died.

Pure: proxy/ knows what is there and carries the decisions out.
"""

from __future__ import annotations

from enum import StrEnum, auto

# Requests outside a dialog that ask or set something, so that a second one changes nothing. A second MESSAGE would be
# read twice; a second REFER would call twice.
SAFE_METHODS = frozenset({"OPTIONS", "PUBLISH", "REGISTER", "SUBSCRIBE"})


class Thing(StrEnum):
    """What can be on a backend."""

    REGISTRATION_MIRRORED = auto()
    """Held by every backend that is up."""
    REGISTRATION_ACTIVE = auto()
    """Held by the active backend only."""
    CALL_PENDING = auto()
    """INVITE from a phone, sent to the backend; it said 100 at most."""
    CALL_RINGING_FROM_PHONE = auto()
    """INVITE from a phone, and the backend said 18x."""
    CALL_RINGING_TO_PHONE = auto()
    """INVITE from the backend, and the phone has not answered yet."""
    CALL_ANSWERED = auto()
    """A confirmed dialog."""
    SUBSCRIPTION = auto()
    """A client's, to the backend (RFC 6665)."""
    REQUEST_SAFE = auto()
    """Not an INVITE, in flight to the backend, and `safe_to_repeat`."""
    REQUEST_UNSAFE = auto()
    """Not an INVITE, in flight to the backend, and not `safe_to_repeat`."""


class Decision(StrEnum):
    """What is done with it."""

    KEEP = auto()
    """Nothing: the next backend has it already, which is why mirroring is the default."""
    REGISTER_AGAIN = auto()
    """Register it at the next backend as soon as its turn comes, paced by `Pace`; a backend asked for a thousand
    registrations in one instant refuses most of them."""
    INVITE_AGAIN = auto()
    """Send the INVITE to the next backend. The caller saw 100 or 18x and goes on waiting; no 18x is repeated to it."""
    KEEP_RINGING = auto()
    """Let the phone ring: the caller's INVITE is sent to the next backend, whose INVITE to this phone is joined to the
    leg that rings. Nobody should see a call come twice. If none comes soon, CANCEL."""
    CARRY_ON = auto()
    """Keep the client's dialog and build the call anew at the next backend behind it; meanwhile the relay joins the two
    clients of one conversation directly."""
    HANG_UP = auto()
    """BYE to the client: nobody is there to carry the call, and silence is worse than a clean end."""
    SUBSCRIBE_AGAIN = auto()
    """Subscribe at the next backend; its first NOTIFY carries the full state (RFC 6665 section 4.2.1.1) into the
    client's existing dialog."""
    UNSUBSCRIBE = auto()
    """NOTIFY the client that it is over, and to try again in a while (RFC 6665 section 4.1.3, "probation"): what there
    is to know may change before a backend returns, and a lamp that shows nothing is better than one that lies."""
    SEND_AGAIN = auto()
    """Send the request to the next backend, once: a request that killed one backend must not kill them all."""
    REFUSE = auto()
    """Answer 504 (RFC 3261 section 21.5.5): we cannot know whether the backend acted on it, so the client decides."""
    REFUSE_FOR_NOW = auto()
    """Answer 503 with Retry-After: there is no backend to take it."""
    CANCEL = auto()
    """Stop the ringing: the caller's INVITE cannot be placed anywhere, so nobody would be there on answering."""


# With a backend to go to.
_MOVED: dict[Thing, Decision] = {
    Thing.REGISTRATION_MIRRORED: Decision.KEEP,
    Thing.REGISTRATION_ACTIVE: Decision.REGISTER_AGAIN,
    Thing.CALL_PENDING: Decision.INVITE_AGAIN,
    Thing.CALL_RINGING_FROM_PHONE: Decision.INVITE_AGAIN,
    Thing.CALL_RINGING_TO_PHONE: Decision.KEEP_RINGING,
    Thing.CALL_ANSWERED: Decision.CARRY_ON,
    Thing.SUBSCRIPTION: Decision.SUBSCRIBE_AGAIN,
    Thing.REQUEST_SAFE: Decision.SEND_AGAIN,
    Thing.REQUEST_UNSAFE: Decision.REFUSE,
}

# Without one, these differ. Registrations wait for the first backend that returns.
_STRANDED: dict[Thing, Decision] = {
    Thing.CALL_PENDING: Decision.REFUSE_FOR_NOW,
    Thing.CALL_RINGING_FROM_PHONE: Decision.REFUSE_FOR_NOW,
    Thing.CALL_RINGING_TO_PHONE: Decision.CANCEL,
    Thing.CALL_ANSWERED: Decision.HANG_UP,
    Thing.SUBSCRIPTION: Decision.UNSUBSCRIBE,
    Thing.REQUEST_SAFE: Decision.REFUSE_FOR_NOW,
}


def decide(thing: Thing, *, another: bool) -> Decision:
    """What becomes of `thing`; `another` says whether there is a backend to move it to (one not tried before)."""
    if not another and thing in _STRANDED:
        return _STRANDED[thing]
    return _MOVED[thing]


def safe_to_repeat(method: str, *, in_dialog: bool) -> bool:
    """Whether a request that got no answer may be sent again. One in a dialog may not: its dialog died as well."""
    return not in_dialog and method in SAFE_METHODS
