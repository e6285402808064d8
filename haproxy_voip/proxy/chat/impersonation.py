"""Logging in as a user without any secret of the user's, with one that is good for everybody (`impersonation`).

The client has proved who it is to us, by the users' file; nothing else entitles us to be it. A server that does not
know of impersonation would log the administrator in instead: `xmpp.client_stream` refuses to be bound to that account.
"""

from __future__ import annotations

from haproxy_voip.configuration.model import ImpersonationConfig
from haproxy_voip.proxy.chat.accounts import Account
from haproxy_voip.xmpp.sasl.ladder import ByImpersonation, ByToken
from haproxy_voip.xmpp.sasl.web_token import signed_token

# How long a token is good: a login takes a second at most, and the server's clock may be wrong.
TOKEN_SECONDS = 60


def impersonating(
    account: Account, config: ImpersonationConfig | None, wall: float
) -> ByImpersonation | ByToken | None:
    """How to be this user there; None where that is not wanted or not ours to do. `wall`: seconds since 1970."""
    if config is None or not account.ours:
        return None
    if config.by == "authzid":
        assert config.user is not None
        return ByImpersonation(config.user, config.secret.text)
    claims: dict[str, str | int] = {"jid": f"{account.username}@{account.domain}", "exp": int(wall) + TOKEN_SECONDS}
    return ByToken(signed_token(config.secret.text.encode(), claims))
