"""What happened to an embedded chat client: what simulations and the demonstration look at."""

from __future__ import annotations

from dataclasses import dataclass

from haproxy_voip.core.effects import Close, Open, Send
from haproxy_voip.proxy.effects import StartTls


@dataclass(slots=True)
class ClientOnline:
    """Logged in: a session begins."""

    jid: str


@dataclass(slots=True)
class ClientResumed:
    """Back on another connection, in the same session."""

    jid: str


@dataclass(slots=True)
class ClientTurnedAway:
    """Not let in. `temporary`: it tries again."""

    user: str
    condition: str
    temporary: bool


@dataclass(slots=True)
class ClientOffline:
    """The connection is over."""

    jid: str
    reason: str
    resumable: bool  # whether its session may be there still


@dataclass(slots=True)
class ClientLost:
    """Its session is gone. Nobody knows what became of the messages that the server had not acknowledged."""

    jid: str
    in_doubt: tuple[str, ...]  # their ids, oldest first


@dataclass(slots=True)
class ClientHeard:
    """A message with a body came."""

    jid: str
    sender: str  # full address
    id: str
    text: str
    kind: str  # chat, groupchat, normal
    delayed: bool  # it says that it waited somewhere
    carbon: bool = False  # a copy of what another client of the same user got or sent


@dataclass(slots=True)
class ClientRefused:
    """A message of ours came back as an error."""

    jid: str
    id: str
    condition: str


@dataclass(slots=True)
class ClientAnswered:
    """A request of ours was answered, by a result or an error."""

    jid: str
    id: str
    type: str


@dataclass(slots=True)
class ClientAcknowledged:
    """The server has these messages of ours."""

    jid: str
    ids: tuple[str, ...]


@dataclass(slots=True)
class ClientSaw:
    """Somebody became available or unavailable, as far as we are told: a contact or an occupant."""

    jid: str
    who: str  # full address
    available: bool


ClientFact = (
    ClientOnline
    | ClientResumed
    | ClientTurnedAway
    | ClientOffline
    | ClientLost
    | ClientHeard
    | ClientRefused
    | ClientAnswered
    | ClientAcknowledged
    | ClientSaw
)
ClientOutput = Send | Open | Close | StartTls | ClientFact
