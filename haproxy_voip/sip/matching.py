"""Which transaction a message belongs to (RFC 3261 sections 17.1.3, 17.2.3 and 8.2.2.2): tuples to look up."""

from __future__ import annotations

import re

from haproxy_voip.sip.headers import MAGIC_COOKIE, Via
from haproxy_voip.sip.message import Request, Response

Key = tuple[str | int | None, ...]

COOKIE = MAGIC_COOKIE.lower()  # parameter values are case-insensitive (7.3.1), so branches are compared in lower case

# Only ours is looked for, and ours holds nothing that needs quoting: 1 us instead of the 3 us of the whole Via.
_BRANCH = re.compile(r";[ \t]*branch[ \t]*=[ \t]*([^\s;,\"]+)", re.IGNORECASE)


def client_key(response: Response) -> Key:
    """17.1.3: the top Via's branch, and the method in CSeq since a CANCEL shares its INVITE's branch.

    Raises MessageError when CSeq cannot be read.
    """
    branch = _BRANCH.search(response.get("via") or "")
    return "" if branch is None else branch[1].lower(), response.cseq.method


def server_key(request: Request, via: Via, method: str) -> Key:
    """17.2.3: branch, sent-by and method; `method` is INVITE for an ACK and for what a CANCEL cancels.

    `via` is the top Via as it came, before `received` was added. Raises MessageError.
    """
    branch = (via.branch or "").lower()
    # RFC 4475 section 3.2.1: the cookie alone says RFC 3261 but identifies nothing.
    if branch.startswith(COOKIE) and len(branch) > len(COOKIE):
        return branch, via.host, via.port, method
    return _rfc2543_key(request, method)


def _rfc2543_key(request: Request, method: str) -> Key:
    # 17.2.3 also compares the To tag: the INVITE's for its repeats, our answer's for the ACK. Nothing else tells
    # those two apart from a stranger's, so the tag adds nothing and one look-up does for both.
    return (
        request.uri,
        request.from_.tag,
        request.call_id,
        request.cseq.number,
        request.get("via"),
        method,
    )


def merge_key(request: Request) -> Key | None:
    """8.2.2.2: what a request has in common with another copy of it that came by another way; None inside a dialog.

    The Request-URI belongs to it: we stand for many phones at one address, and a proxy behind us (Kamailio) that forks
    a call to two of them sends two INVITEs that differ in nothing else. Raises MessageError.
    """
    if request.to.tag is not None:
        return None
    cseq = request.cseq
    return request.uri, request.call_id, request.from_.tag, cseq.number, cseq.method
