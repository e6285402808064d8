"""A backend's challenges to one request of ours, answered with what we hold of the client's user (RFC 3261 section 22).

A backend's nonce is kept and used again with a growing count (RFC 7616 section 3.3), so a refresh needs one round
trip. That a secret is wrong is told from a nonce that went stale: only a fresh nonce's answer can be refused.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Protocol

from haproxy_voip.sip.digest import AuthenticationSession
from haproxy_voip.sip.message import Header, Request, Response, header

# A proxy and a registrar behind it, each with a nonce that just went stale. More is a loop.
MAX_CHALLENGES = 4


Sessions = defaultdict[str, dict[str, AuthenticationSession]]  # by backend, or carrier, and user


class Secrets(Protocol):
    """Where answers come from: what we hold of our users, or of our account at a carrier."""

    sessions: Sessions

    def session(self, response: Response, user: str) -> AuthenticationSession | None:
        """What answers a challenge to this user, or None when nothing we hold does."""

    def authorization(self, session: AuthenticationSession, request: Request) -> Header:
        """The header that proves the session's user in this request."""


class Challenges:
    """Those that one request, with all its repetitions, meets at one backend."""

    __slots__ = ("_authentication", "_backend", "_count", "_sent", "_user", "refused")

    def __init__(self, authentication: Secrets, backend: str, user: str) -> None:
        self._authentication = authentication
        self._backend, self._user = backend, user
        self._count = 0
        self._sent: AuthenticationSession | None = None  # what the request carries now
        self.refused = False  # the backend does not take the secret we hold

    def prove(self, request: Request) -> None:
        """Add credentials to a request that was not sent yet, if the backend gave us a nonce before."""
        self._sent = self._authentication.sessions[self._backend].get(self._user)
        if self._sent is not None:
            request.headers.append(self._authentication.authorization(self._sent, request))

    def again(self, response: Response, sent: Request) -> Request | None:
        """The request once more, answering this 401 or 407, without Via; None when we cannot, or when it is useless."""
        self._count += 1
        sessions = self._authentication.sessions[self._backend]
        session = self._authentication.session(response, self._user)
        if session is None or self._count > MAX_CHALLENGES:
            return None
        if self._sent is not None and self._sent.role is session.role and self._sent.refused(session):
            self.refused = True
            sessions.pop(self._user, None)
            return None
        self._sent = sessions[self._user] = session
        credentials = self._authentication.authorization(session, sent)
        headers = [item for item in sent.headers if item[0] not in ("via", "cseq", credentials[0])]
        headers += [header("CSeq", f"{sent.cseq.number + 1} {sent.method}"), credentials]
        return Request(sent.method, sent.uri, headers, sent.body)
