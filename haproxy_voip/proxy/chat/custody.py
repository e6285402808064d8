"""Who ought to have had a message by now: how it is known, when a server dies, whether it delivered what it took.

A message to an account goes to the sessions with the highest priority (RFC 6121 section 8.5.2.1.1), one with a body is
copied to all others that asked for copies (XEP-0280 section 6), and one to a room goes to everybody in it. Whoever is
counted here and does not get one has it sent again in vain, at each failover; whoever is left out may lose one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from haproxy_voip.proxy.chat.entry import Entry, bare_of, body_of
from haproxy_voip.xmpp.framing import Stanza

if TYPE_CHECKING:
    from haproxy_voip.proxy.chat.session import Session
    from haproxy_voip.proxy.chat.shared import ChatShared

PRIORITY = re.compile(rb"<priority>\s*([+-]?\d{1,3})\s*</priority>")


def missing(shared: ChatShared, sender: Session, entry: Entry) -> bool:
    """Whether a session of ours it is for has not had it. Recipients that are not ours are the server's business."""
    stanza = entry.stanza
    if stanza is None or not entry.peer:
        return False
    if sender.traffic.captured.rooms.get(entry.peer) is not None:
        inside = shared.sessions.in_room(entry.peer) if stanza.type == "groupchat" else []
        meant = [one for one in inside if _was_inside(one, entry)]
    else:
        meant = _recipients(shared, stanza, entry.peer)
        if meant and copied(stanza):
            every = (*shared.sessions.of(entry.peer), *shared.sessions.of(sender.bare))
            meant += [one for one in every if one is not sender and one.traffic.captured.carbons]
    return any(one.bound_at <= entry.at and one not in entry.seen for one in meant)


def _was_inside(session: Session, entry: Entry) -> bool:
    """Whether it was in that room already when this was said there."""
    room = session.traffic.captured.rooms.get(entry.peer)
    return room is not None and room.entered_at <= entry.at


def _recipients(shared: ChatShared, stanza: Stanza, peer: str) -> list[Session]:
    theirs = shared.sessions.of(peer)
    if bare_of(stanza.to) != stanza.to:
        return [one for one in theirs if one.jid == stanza.to]
    if stanza.name == "iq":
        return []  # the server's own business (RFC 6121 section 8.5.2.1.3): often the answer to its question for caps
    priorities = {one: _priority(one.traffic.captured.presence) for one in theirs}
    highest = max((each for each in priorities.values() if each is not None), default=-1)
    return [one for one, priority in priorities.items() if priority == highest and highest >= 0]


def _priority(presence: bytes | None) -> int | None:
    """None: not available."""
    if presence is None:
        return None
    found = PRIORITY.search(presence)
    return 0 if found is None else int(found[1])


def copied(stanza: Stanza) -> bool:
    """Whether every server copies it to whom it was not for, and who asked for copies (XEP-0280 section 6.1)."""
    return stanza.name == "message" and stanza.type in (None, "normal", "chat") and body_of(stanza) != ""
