"""How the proxy logs in at a backend for a user: ways tried in order, from the one that gives least away."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from haproxy_voip.xmpp.sasl.scram import ALGORITHMS, ClientKey


@dataclass(frozen=True, slots=True)
class ByClientKey:
    """SCRAM with a kept key: cheapest for the server. Works where it has the same salt and iterations."""

    key: ClientKey


@dataclass(frozen=True, slots=True)
class ByPassword:
    """The user's password, in memory while the session lives: SCRAM where offered, else PLAIN under TLS.

    `known` are keys made from it before: one that fits the server's salt saves milliseconds.
    """

    password: str
    known: tuple[ClientKey, ...] = field(default=(), compare=False)

    def __repr__(self) -> str:
        return "ByPassword()"


@dataclass(frozen=True, slots=True)
class ByImpersonation:
    """Another's credentials with the user as authorization identity (Openfire's sasl.proxyAuth): PLAIN under TLS.

    Whoever holds these can be anybody.
    """

    authcid: str
    password: str

    def __repr__(self) -> str:
        return f"ByImpersonation(authcid={self.authcid!r})"


@dataclass(frozen=True, slots=True)
class ByToken:
    """A token about the user, signed with a key that the server has too (ejabberd's jwt): PLAIN under TLS."""

    token: str

    def __repr__(self) -> str:
        return "ByToken()"


Way = ByClientKey | ByPassword | ByImpersonation | ByToken


@dataclass(frozen=True, slots=True)
class Rung:
    """One attempt: a mechanism, without -PLUS, and where its secret comes from."""

    mechanism: str
    way: Way


def rungs(ways: Collection[Way], offered: Collection[str], *, protected: bool) -> Iterator[Rung]:
    """What to try at a server that offers these mechanisms, in order; where not `protected`, no PLAIN."""
    for way in ways:
        for mechanism in mechanisms_for(way, protected=protected):
            if mechanism in offered:
                yield Rung(mechanism, way)


def mechanisms_for(way: Way, *, protected: bool) -> list[str]:
    """Best first."""
    plain = ["PLAIN"] if protected else []
    match way:
        case ByClientKey(key):
            return [f"SCRAM-{key.algorithm}"]
        case ByPassword():
            return [f"SCRAM-{algorithm}" for algorithm in ALGORITHMS] + plain
        case ByImpersonation() | ByToken():
            return plain
