"""PLAIN (RFC 4616), and whom a client may log in as (RFC 6120 section 6.3.8)."""

from __future__ import annotations

from dataclasses import dataclass

from haproxy_voip.xmpp.errors import SaslCondition, SaslFailure
from haproxy_voip.xmpp.jid import Jid, prepared_local
from haproxy_voip.xmpp.sasl.scram import malformed, to_text


@dataclass(frozen=True, slots=True)
class Plain:
    """message = [authzid] NUL authcid NUL passwd."""

    authzid: str  # "" when none
    authcid: str
    password: str

    def __repr__(self) -> str:
        return f"Plain(authzid={self.authzid!r}, authcid={self.authcid!r})"  # never the password

    @classmethod
    def parse(cls, message: bytes) -> Plain:
        """Raises SaslFailure(malformed-request)."""
        parts = to_text(message).split("\0")
        if len(parts) != 3 or not parts[1] or not parts[2]:
            raise malformed("not authzid, authcid and password")
        return cls(*parts)

    def encode(self) -> bytes:
        """The message, not yet base64."""
        return f"{self.authzid}\0{self.authcid}\0{self.password}".encode()


def localpart_of(authcid: str, authzid: str, domain: str) -> str:
    """The prepared localpart of who logs in at `domain`. Raises SaslFailure.

    RFC 6120 section 6.3.7: the authentication identity is the localpart. COMPAT: some clients send the whole address.
    Nobody may act for another here, so an authorization identity must be the same account.
    """
    try:
        account = Jid.parse(authcid) if "@" in authcid else Jid(prepared_local(authcid), domain)
    except ValueError as error:
        raise SaslFailure(SaslCondition.NOT_AUTHORIZED, str(error)) from None
    if account != Jid(account.local, domain) or not account.local:
        raise SaslFailure(SaslCondition.NOT_AUTHORIZED, f"not an account of {domain}")
    if authzid:
        try:
            wanted = Jid.parse(authzid)
        except ValueError as error:
            raise SaslFailure(SaslCondition.INVALID_AUTHZID, str(error)) from None
        if wanted != account:
            raise SaslFailure(SaslCondition.INVALID_AUTHZID, "not the account that authenticates")
    return account.local
