"""Which two calls on a backend are the two ends of one conversation.

A wrong answer would join strangers, so doubt is no answer: evidence that contradicts itself, or fits two, pairs nobody.
From the surest down:

1. *Media*: the backend sends out on one leg what came in on the other, payload for payload (rtp/fingerprint.py).
2. *Address*: the SDP of the backend names our own port of the other call, as Asterisk's `direct_media` does.
3. *Token*: the INVITE to the callee carries the header we put into the caller's (a backend that is a proxy).
4. *Who called whom*: the one call was for the very user, from the very caller, of the other, and the backend answered
   it in the moment that user answered; no third call could be meant, and neither was transferred since. A third one
   could be where any call under that caller's name is not explained so: the backend may have led it elsewhere.

The first three are evidence of the backend's own doing and overrule the last. So do payloads that are no proof yet: who
was heard elsewhere once, or hears its own voice, is not paired by names. A backend may connect people anew without a
word to us, by a digit that somebody pressed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from haproxy_voip.proxy.claims import HIDDEN
from haproxy_voip.proxy.leg import Side

if TYPE_CHECKING:
    from haproxy_voip.proxy.call import Call

# From the callee's 2xx at us to the backend's 2xx to the caller: one pass through the backend.
ANSWERED_WITHIN_SECONDS = 0.25


Evidence = dict["Call", "Call"]


class Heard(Protocol):
    """What rtp.fingerprint.Fingerprints knows of streams."""

    def partner_of(self, stream: int) -> int | None:
        """The stream that this one surely talks with; it says the same of this one."""

    def denies(self, stream: int, other: int) -> bool:
        """Whether anything speaks against these two."""


def conversations(calls: Iterable[Call], heard: Heard) -> Evidence:
    """Each call that has a partner -> that partner, both ways."""
    every = list(calls)
    answered = [call for call in every if call.answered_at is not None]
    certain = [*_by_media(answered, heard), *_by_address(answered), *_by_token(answered)]
    # Whoever such evidence names is not judged by names, even where it contradicts itself.
    named = dict.fromkeys(call for pair in certain for call in pair)
    unnamed = [call for call in answered if call not in named]
    by_names = _by_names(unnamed, heard, _borne_twice(every))
    return _mutual(certain) | by_names


def _by_media(calls: list[Call], heard: Heard) -> list[tuple[Call, Call]]:
    owner = {stream: call for call in calls for stream in call.media.streams}
    found = []
    asked: dict[int | None, None] = {}
    for stream, call in owner.items():
        if stream in asked:
            continue  # its partner was, and it costs
        partner = heard.partner_of(stream)
        asked[partner] = None
        other = owner.get(partner) if partner is not None else None
        if other is not None and other is not call and not _in_one_room(call, other):
            found.append((call, other))
    return found


def _in_one_room(one: Call, other: Call) -> bool:
    """Two clients that called the same number are in a conference or a queue there, not in a conversation of two."""
    both_call = one.callee.side is other.callee.side is Side.BACKEND
    return both_call and one.callee.name == other.callee.name


def _by_address(calls: list[Call]) -> list[tuple[Call, Call]]:
    owner = {address: call for call in calls for address in call.media.backend_ports}
    return [
        (call, other)
        for call in calls
        for remote in call.media.backend_remotes
        if (other := owner.get(remote)) is not None and other is not call
    ]


def _by_token(calls: list[Call]) -> list[tuple[Call, Call]]:
    owner = {call.token: call for call in calls}
    # Of the INVITE that carries the call now: the backend before may have called this phone for another call.
    origins = {call: call.caller.origin for call in calls if call.caller is not None}
    named = [(call, owner.get(origin)) for call, origin in origins.items() if origin is not None]
    return [
        (call, other)
        for call, other in named
        if other is not None and other is not call and not call.transferred and not other.transferred
    ]


def _borne_twice(calls: list[Call]) -> set[str]:
    """Names that prove nothing: a carrier's caller, who may show any, bears what a phone is called, or none at all."""
    callers = [call for call in calls if call.callee.side is Side.BACKEND]
    strangers = {call.caller_name for call in callers if call.trunk is not None}
    phones = {call.caller_name for call in callers if call.trunk is None}
    return (strangers & phones) | {name for name in strangers if name.lower() in HIDDEN}


def _by_names(calls: list[Call], heard: Heard, twice: set[str]) -> Evidence:
    """Pairs of a call from a client and one to a client that can only mean each other."""
    waiting: dict[tuple[str, str], list[Call]] = {}
    for call in calls:
        if call.callee.side is Side.CLIENT and not call.transferred:
            waiting.setdefault((call.caller_name, call.callee.name), []).append(call)
    found = []
    for call in calls:
        from_client = call.callee.side is Side.BACKEND and not call.transferred
        fitting = waiting.get((call.caller_name, call.callee.name), []) if from_client else []
        found += [(call, other) for other in fitting if _together(call, other) and not _denied(call, other, heard)]
    pairs = _mutual(found)
    doubtful = {call.caller_name for call in calls if call not in pairs} | twice
    return {call: other for call, other in pairs.items() if call.caller_name not in doubtful}


def _denied(one: Call, other: Call, heard: Heard) -> bool:
    streams = zip(one.media.streams, other.media.streams, strict=False)
    return any(heard.denies(ours, theirs) for ours, theirs in streams)


def _together(one: Call, other: Call) -> bool:
    assert one.answered_at is not None and other.answered_at is not None
    return 0.0 <= one.answered_at - other.answered_at <= ANSWERED_WITHIN_SECONDS


def _mutual(found: list[tuple[Call, Call]]) -> Evidence:
    partners: dict[Call, dict[Call, None]] = {}
    for one, other in found:
        partners.setdefault(one, {})[other] = None
        partners.setdefault(other, {})[one] = None
    return {
        call: next(iter(named))
        for call, named in partners.items()
        if len(named) == 1 and len(partners[next(iter(named))]) == 1
    }
