"""One user's answers to challenges, kept and used again (RFC 3261 section 22, RFC 7616 section 3.6)."""

from __future__ import annotations

from haproxy_voip.core.credential import Credential
from haproxy_voip.sip.digest import AuthenticationSession, Role
from haproxy_voip.sip.message import Request, Response, header

# Neither can be challenged, and both repeat the INVITE's credentials (22.1).
NEVER = frozenset({"ACK", "CANCEL"})


class Account:
    """Credentials with which requests are sent in advance once a server has challenged."""

    def __init__(self, credential: Credential) -> None:
        self._credential = credential
        self._sessions: dict[Role, AuthenticationSession] = {}

    def authorize(self, request: Request, cnonce: str) -> None:
        """Add what the servers that challenged before want to see. `cnonce` nobody can guess."""
        if request.method in NEVER:
            return
        for role, session in self._sessions.items():
            name, value = session.authorization(request.method, request.uri, cnonce)
            request.remove(role.authorization)
            request.add(name, value)

    def repeated(self, request: Request, response: Response) -> Request | None:
        """The challenged request once more, with a CSeq one higher; None when we cannot do better than before."""
        session = AuthenticationSession.for_response(response, self._credential)
        if session is None:
            return None
        before = self._sessions.get(session.role)
        if before is not None and request.has(session.role.authorization) and before.refused(session):
            return None
        self._sessions[session.role] = session
        again = request.copy()
        again.remove_first("via")
        cseq = request.cseq
        again.headers = [
            header("cseq", f"{cseq.number + 1} {cseq.method}") if line[0] == "cseq" else line for line in again.headers
        ]
        return Request(again.method, again.uri, again.headers, again.body)
