"""Digest authentication for SIP, both sides (RFC 7616, RFC 8760, RFC 3261 section 22).

`Authenticator` challenges clients and checks what they answer; `AuthenticationSession` answers the challenges
of a server for one user. `Role` says which status and headers a challenge travels in.
"""

from haproxy_voip.sip.digest.algorithms import ALGORITHMS, common_algorithms
from haproxy_voip.sip.digest.client import AuthenticationSession, Challenge
from haproxy_voip.sip.digest.roles import PROXY, REGISTRAR, Role, role_for
from haproxy_voip.sip.digest.server import Authenticator, Rejected, Verified

__all__ = [
    "ALGORITHMS",
    "PROXY",
    "REGISTRAR",
    "AuthenticationSession",
    "Authenticator",
    "Challenge",
    "Rejected",
    "Role",
    "Verified",
    "common_algorithms",
    "role_for",
]
