"""What the stream to a backend tells its owner."""

from __future__ import annotations

from dataclasses import dataclass

from haproxy_voip.xmpp.framing import Stanza, Whitespace
from haproxy_voip.xmpp.jid import Jid
from haproxy_voip.xmpp.management import Enabled, Failed
from haproxy_voip.xmpp.outputs import Ended, StartTls, Write
from haproxy_voip.xmpp.sasl.scram import ClientKey


@dataclass(slots=True)
class Authenticated:
    """SASL is done. With `Login.bind` False: `bind` may be called now."""

    mechanism: str
    client_key: ClientKey | None  # worth keeping: with it the next login needs no password hashing


@dataclass(slots=True)
class Ready:
    """Bound, and the opening stanzas are sent; with `enabled` they are the first that XEP-0198 counts.

    Stanzas that come from here on are counted, stanzas that came before are not.
    """

    jid: Jid  # as the server bound it, which may not be what was asked for
    enabled: Enabled | None  # None when the server does not offer XEP-0198 or refused it: nothing is counted


@dataclass(slots=True)
class Resumed:
    """The old session goes on: `h` is how many of our stanzas the server had (XEP-0198 section 5)."""

    previd: str
    h: int


@dataclass(slots=True)
class ResumeFailed:
    """The old session is gone; binding follows by itself. `failed.h` tells what it had, where the server knows."""

    failed: Failed


@dataclass(slots=True)
class LoginFailed:
    """No session here. Ended follows.

    `temporary` False means that the server refused these credentials, not that something is wrong with it.
    """

    condition: str  # a condition of SASL, of the bind error or of the stream error, or one of the five below
    temporary: bool
    text: str = ""


# What LoginFailed says when no server said anything.
NO_STARTTLS = "starttls"  # policy and offer do not fit
NO_MECHANISM = "no-mechanism"  # nothing offered suits what is known of the user
TIMEOUT = "timeout"
CLOSED = "closed"  # the server closed the stream without a word
ANOTHER_ACCOUNT = "another-account"  # it bound us to an address that is not the user's

ClientOutput = (
    Write | StartTls | Authenticated | Ready | Resumed | ResumeFailed | LoginFailed | Stanza | Whitespace | Ended
)
