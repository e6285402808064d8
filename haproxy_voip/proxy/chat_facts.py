"""What happened to chat sessions, for people."""

from __future__ import annotations

from dataclasses import dataclass, field

from haproxy_voip.core.address import Flow


@dataclass(slots=True)
class ChatRefused:
    """A chat client was turned away, or its stream ended, for something it did."""

    flow: Flow
    who: str  # its address as far as it is known
    reason: str

    def __str__(self) -> str:
        return f"chat client {self.who or 'unknown'} from {self.flow.remote} refused: {self.reason}"


@dataclass(slots=True)
class ChatStarted:
    """A client is logged in and bound."""

    jid: str
    backend: str
    flow: Flow

    def __str__(self) -> str:
        return f"{self.jid} chats over {self.backend} from {self.flow.transport}:{self.flow.remote}"


@dataclass(slots=True)
class ChatLeft:
    """A client's connection was lost; its session waits for it, `seconds` at most."""

    jid: str
    reason: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.jid} lost its connection ({self.reason}) and may come back within {self.seconds:.0f} s"


@dataclass(slots=True)
class ChatResumed:
    """A client came back to its session after `away` seconds."""

    jid: str
    away: float
    flow: Flow

    def __str__(self) -> str:
        return f"{self.jid} came back after {self.away:.1f} s from {self.flow.transport}:{self.flow.remote}"


@dataclass(slots=True)
class ChatEnded:
    """Nothing of a chat session is left."""

    jid: str
    reason: str

    def __str__(self) -> str:
        return f"{self.jid} no longer chats: {self.reason}"


@dataclass(slots=True)
class ChatLoginRefused:
    """A backend does not let one of our users in."""

    backend: str
    jid: str
    reason: str

    def __str__(self) -> str:
        return f"{self.backend} does not log in {self.jid}: {self.reason}"


@dataclass(slots=True)
class DeepProbeFailed:
    """A backend that is there did not let us log in and ping."""

    backend: str
    reason: str

    def __str__(self) -> str:
        return f"deep probe of {self.backend} failed: {self.reason}"


@dataclass(slots=True)
class ChatFailover:
    """All chat sessions of a backend went to another one, or ended."""

    backend: str
    successor: str | None
    signal: str
    detected_after: float  # seconds from the first sign to the judgement
    sessions: int  # that were there
    settled_after: float  # seconds from the judgement until the last one was back
    resent: int  # stanzas sent again because nobody could say whether they had arrived
    lost: dict[str, int] = field(default_factory=dict)  # why -> how many sessions ended
    judged_at: float = 0.0  # seconds on the node's clock

    def __str__(self) -> str:
        lost = ", ".join(f"{count} {why}" for why, count in self.lost.items()) or "none"
        return (
            f"chat failover {self.backend} -> {self.successor or 'nobody'} on {self.signal}, detected after "
            f"{self.detected_after * 1000:.0f} ms; {self.sessions} sessions, back after "
            f"{self.settled_after * 1000:.0f} ms; stanzas sent again: {self.resent}; sessions ended: {lost}"
        )


ChatFact = (
    ChatRefused | ChatStarted | ChatLeft | ChatResumed | ChatEnded | ChatLoginRefused | DeepProbeFailed | ChatFailover
)
