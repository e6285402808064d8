"""What the stream to a client asks its owner, and how each question is answered."""

from __future__ import annotations

from dataclasses import dataclass

from haproxy_voip.xmpp.framing import Stanza, Whitespace
from haproxy_voip.xmpp.management import Enable, Resume
from haproxy_voip.xmpp.outputs import Ended, StartTls, Write
from haproxy_voip.xmpp.sasl.scram import ClientKey


@dataclass(slots=True)
class CredentialsWanted:
    """SCRAM needs this user's keys: answer `keys` (None for an unknown user) or `refuse`."""

    username: str  # prepared localpart
    domain: str
    algorithm: str  # SHA-1 or SHA-256


@dataclass(slots=True)
class Authenticate:
    """The client gave a password, to be checked, or proved that it has one: answer `accept` or `refuse`."""

    username: str  # prepared localpart
    domain: str
    mechanism: str
    password: str | None = None  # PLAIN: still to be checked
    client_key: ClientKey | None = None  # SCRAM: proved

    def __repr__(self) -> str:
        return f"Authenticate({self.username!r}, {self.domain!r}, {self.mechanism!r})"  # never the secret


@dataclass(slots=True)
class BindWanted:
    """Answer `bound` or `bind_refused`. None: the client leaves the resource to us."""

    resource: str | None


@dataclass(slots=True)
class ResumeWanted:
    """Answer `resumed` or `management_failed`; after the latter the client may bind."""

    resume: Resume


@dataclass(slots=True)
class EnableWanted:
    """Answer `enabled` or `management_failed`. Stanzas behind it in the same batch come as outputs of that answer."""

    enable: Enable


ServerOutput = (
    Write
    | StartTls
    | CredentialsWanted
    | Authenticate
    | BindWanted
    | ResumeWanted
    | EnableWanted
    | Stanza
    | Whitespace
    | Ended
)
