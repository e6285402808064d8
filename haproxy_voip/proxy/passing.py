"""Credentials and challenges that pass through us, where it is the backends that authenticate (RFC 3261 section 22).

Both cross as they came, but for two things in a challenge. `auth-int` is taken from qop, as that is a hash of the body
and we rewrite SDP. And `stale=true` is set where the credentials answered a challenge of another backend: that nonce
is of no use here, which says nothing about the password, and phones that are not told so ask their user for it.

To a backend that trusts us all phones are alike, so it must challenge: what it takes without credentials is refused.
"""

from __future__ import annotations

import re

from haproxy_voip.core.address import Flow
from haproxy_voip.proxy.facts import AuthenticationFailed
from haproxy_voip.proxy.guard_facts import BackendUnguarded
from haproxy_voip.sip.digest.parameters import parse_digest
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.grammar import QUOTED_STRING
from haproxy_voip.sip.message import Header, Request, Response, header

CREDENTIALS = ("authorization", "proxy-authorization")
CHALLENGES = ("www-authenticate", "proxy-authenticate")
# What a server says when it has accepted credentials: rspauth, nextnonce (RFC 7616 section 3.5).
INFORMATION = ("authentication-info", "proxy-authentication-info")
CHALLENGED = frozenset({401, 407})
# Nonces whose backend is remembered, the last ones given: 10,000 phones with two each. One that is forgotten costs its
# phone a stale=true that is not true, and one more round trip, if its backend does not take it any more either.
MAX_NONCES = 20_000
# A nonce that is longer is not remembered; usual are 8 to 80 characters.
MAX_NONCE = 256
# Anybody may ask how the proxy does; a keepalive needs no proof.
HARMLESS = "OPTIONS"

PARAMETER = re.compile(rf"([\w-]+)(\s*=\s*)({QUOTED_STRING}|[^\s,\"]+)", re.DOTALL)


class Passing:
    """What passes; nothing where the proxy authenticates, unless it is `on`."""

    def __init__(self, on: bool = False) -> None:
        self.on = on
        self._backend_of: dict[str, str] = {}  # by nonce, the oldest first
        self._unguarded: set[str] = set()  # backends that people were told of

    def credentials(self, request: Request) -> list[Header]:
        """What proves a client to a backend."""
        return [item for item in request.headers if item[0] in CREDENTIALS] if self.on else []

    def unproven(self, request: Request) -> bool:
        """Whether a backend that accepts this has not asked who sends it."""
        return self.on and request.method != HARMLESS and not self.credentials(request)

    def unguarded(self, backend: str, method: str) -> list[BackendUnguarded]:
        """It did so. Told once."""
        if backend in self._unguarded:
            return []
        self._unguarded.add(backend)
        return [BackendUnguarded(backend, method)]

    def answers(self, response: Response, request: Request, backend: str) -> list[Header]:
        """The headers of a backend's response that are about proof, for the client that sent `request`."""
        if not self.on:
            return []
        elsewhere = self._answers_another(request, backend)
        found: list[Header] = []
        for item in response.headers:
            if item[0] in CHALLENGES:
                self._remember(item[1], backend)
                found.append(header(item[0], rewritten(item[1], stale=elsewhere)))
            elif item[0] in INFORMATION:
                self._remember(f"Digest {item[1]}", backend)  # it is written without a scheme
                found.append(item)
        return found

    def failure(self, response: Response, request: Request, flow: Flow, backend: str) -> list[AuthenticationFailed]:
        """What to tell when `answers` is asked next: the backend refused credentials that answer its own challenge."""
        if not self.on or response.status not in CHALLENGED or not self.credentials(request):
            return []
        challenges = [_fields(item[1]) for item in response.headers if item[0] in CHALLENGES]
        stale = any(fields.get("stale", "").lower() == "true" for fields in challenges)
        if stale or self._answers_another(request, backend):
            return []
        user = next((_fields(item[1]).get("username", "") for item in self.credentials(request)), "")
        return [AuthenticationFailed(user, flow, f"refused by {backend}")]

    def _answers_another(self, request: Request, backend: str) -> bool:
        """Whether it has credentials, and none of them answer this backend's challenges."""
        nonces = [_fields(item[1]).get("nonce", "") for item in self.credentials(request)]
        return bool(nonces) and all(self._backend_of.get(nonce) != backend for nonce in nonces)

    def _remember(self, value: str, backend: str) -> None:
        fields = _fields(value)
        for name in ("nonce", "nextnonce"):
            nonce = fields.get(name)
            if nonce is None or len(nonce) > MAX_NONCE:
                continue
            if nonce not in self._backend_of and len(self._backend_of) >= MAX_NONCES:
                del self._backend_of[next(iter(self._backend_of))]
            self._backend_of[nonce] = backend


def rewritten(value: str, stale: bool) -> str:
    """A challenge without auth-int if there is a choice, and said to be stale where it is not yet."""
    fields = _fields(value)
    if not fields:
        return value  # of another scheme
    value = PARAMETER.sub(_without_auth_int, value)
    if not stale or fields.get("stale", "").lower() == "true":
        return value
    if "stale" in fields:
        return PARAMETER.sub(lambda one: f"{one[1]}{one[2]}true" if one[1].lower() == "stale" else one[0], value)
    return f"{value}, stale=true"


def _without_auth_int(one: re.Match[str]) -> str:
    if one[1].lower() != "qop":
        return one[0]
    offered = [qop.strip() for qop in one[3].strip('"').split(",")]
    kept = [qop for qop in offered if qop.lower() != "auth-int"]
    return f'{one[1]}{one[2]}"{",".join(kept)}"' if kept and kept != offered else one[0]


def _fields(value: str) -> dict[str, str]:
    """The parameters of a challenge, of credentials, or of what follows them; empty when they cannot be read."""
    try:
        return parse_digest(value) or {}
    except MessageError:
        return {}
