"""Who a client is, and who we are to a backend.

A client proves itself to us; its credentials never reach a backend. A backend's challenge is answered by us with
what we hold of the client's user.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from haproxy_voip.core.address import Flow
from haproxy_voip.core.chance import Chance
from haproxy_voip.core.credential import Credential
from haproxy_voip.proxy.challenges import Sessions
from haproxy_voip.proxy.facts import AuthenticationFailed
from haproxy_voip.sip.digest import (
    ALGORITHMS,
    AuthenticationSession,
    Authenticator,
    Rejected,
    common_algorithms,
    role_for,
)
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Header, Request, Response, header

KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Challenged:
    """The request must come again with credentials."""

    status: int
    headers: list[Header]
    fact: AuthenticationFailed | None  # None when none were offered, or only the nonce was stale


class Authentication:
    """Checks clients, and answers backends for them. `epoch_offset` makes wall-clock seconds of monotonic ones."""

    def __init__(
        self,
        realm: str,
        credentials: Mapping[str, Credential],
        chance: Chance,
        epoch_offset: float = 0.0,
        allowed: Sequence[str] = tuple(ALGORITHMS),
    ) -> None:
        self._allowed = allowed  # digest algorithms to offer, in this order
        self._chance = chance
        self._epoch_offset = epoch_offset
        self._key = chance.bytes(KEY_BYTES)
        self.replace(realm, credentials)

    def replace(self, realm: str, credentials: Mapping[str, Credential]) -> None:
        """Use these users from now on."""
        self._realm, self._credentials = realm, credentials
        # What a backend was answered with an old secret says nothing any more.
        self.sessions: Sessions = defaultdict(dict)
        self._common = common_algorithms(credentials.values(), realm)
        self.allow(self._allowed)

    def allow(self, algorithms: Sequence[str]) -> None:
        """Offer these from now on, as far as every user's secret is good for them. Nonces stay good."""
        self._allowed = algorithms
        offered = [algorithm for algorithm in algorithms if algorithm in self._common]
        self._authenticator = Authenticator(self._realm, self._credentials.get, self._key, offered)

    def forget(self, backend: str) -> None:
        """It was removed."""
        self.sessions.pop(backend, None)

    def knows(self, user: str) -> bool:
        """Whether there is such a user."""
        return user in self._credentials

    def check(self, request: Request, flow: Flow, now: float) -> str | Challenged:
        """The user who sent this, or what to answer instead.

        Raises MessageError for malformed credentials, and 403 when somebody speaks in another user's name.
        """
        wall = now + self._epoch_offset
        outcome = self._authenticator.authenticate(request, wall)
        if isinstance(outcome, Rejected):
            return self._challenge(request, outcome, flow, wall)
        address = request.to if request.method == "REGISTER" else request.from_
        if address.uri.username != outcome.user:
            raise MessageError(f"{outcome.user} may not act as {address.uri.username}", status=403)
        return self._credentials[outcome.user].user  # one string for all that is kept of this user

    def _challenge(self, request: Request, outcome: Rejected, flow: Flow, wall: float) -> Challenged:
        role = role_for(request.method)
        headers = [header(role.challenge, value) for value in self._authenticator.challenge(wall, outcome.stale)]
        fact = None
        if outcome.user is not None and not outcome.stale:
            fact = AuthenticationFailed(outcome.user, flow, outcome.reason)
        return Challenged(role.status, headers, fact)

    def session(self, response: Response, user: str) -> AuthenticationSession | None:
        """What answers a backend's challenge to this user, or None when nothing we hold does."""
        credential = self._credentials.get(user)
        return None if credential is None else AuthenticationSession.for_response(response, credential)

    def authorization(self, session: AuthenticationSession, request: Request) -> Header:
        """The header that proves the session's user in this request."""
        name, value = session.authorization(request.method, request.uri, self._chance.token())
        return header(name, value)

    def answer(self, response: Response, request: Request, user: str) -> Header | None:
        """The header that answers a backend's challenge to `request`, or None when we cannot answer it."""
        session = self.session(response, user)
        return None if session is None else self.authorization(session, request)
