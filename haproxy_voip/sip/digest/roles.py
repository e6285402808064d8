"""Where a challenge and its answer travel (RFC 3261 section 22.1).

A registrar or user agent asks with 401, a proxy with 407. We answer REGISTER as the registrar we are to the
client, and everything else as the proxy the client takes us for.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Role:
    """The status of a challenge and the headers of challenge and answer, in lower case."""

    status: int
    challenge: str
    authorization: str


REGISTRAR = Role(401, "www-authenticate", "authorization")
PROXY = Role(407, "proxy-authenticate", "proxy-authorization")


def role_for(method: str) -> Role:
    """In which role we challenge this method. ACK and CANCEL must not be challenged at all (22.1)."""
    return REGISTRAR if method == "REGISTER" else PROXY


def role_of(status: int) -> Role | None:
    """The role of whoever sent this response, or None when the status is no challenge."""
    return {401: REGISTRAR, 407: PROXY}.get(status)
