"""How the proxy logs in at a backend."""

from haproxy_voip.xmpp.sasl.ladder import (
    ByClientKey,
    ByImpersonation,
    ByPassword,
    ByToken,
    Rung,
    mechanisms_for,
    rungs,
)
from haproxy_voip.xmpp.sasl.scram import ClientKey

KEY = ByClientKey(ClientKey("SHA-1", b"salt", 4096, b"client", b"server"))
PASSWORD = ByPassword("secret")
ADMIN = ByImpersonation("admin", "topsecret")
TOKEN = ByToken("head.body.secret signature")
ALL = ("PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256", "EXTERNAL")


def test_ways_are_tried_in_their_order_and_strong_mechanisms_first() -> None:
    assert list(rungs((KEY, PASSWORD, ADMIN), ALL, protected=True)) == [
        Rung("SCRAM-SHA-1", KEY),
        Rung("SCRAM-SHA-256", PASSWORD),
        Rung("SCRAM-SHA-1", PASSWORD),
        Rung("PLAIN", PASSWORD),
        Rung("PLAIN", ADMIN),
    ]


def test_without_tls_no_password_is_shown() -> None:
    assert [rung.mechanism for rung in rungs((PASSWORD, ADMIN, TOKEN), ALL, protected=False)] == [
        "SCRAM-SHA-256",
        "SCRAM-SHA-1",
    ]


def test_only_what_is_offered_is_tried() -> None:
    assert list(rungs((KEY, PASSWORD), ("PLAIN",), protected=True)) == [Rung("PLAIN", PASSWORD)]
    assert list(rungs((KEY,), ("SCRAM-SHA-256",), protected=True)) == []
    assert mechanisms_for(ADMIN, protected=False) == mechanisms_for(TOKEN, protected=False) == []
    assert list(rungs((TOKEN,), ALL, protected=True)) == [Rung("PLAIN", TOKEN)]


def test_secrets_are_not_shown() -> None:
    assert "secret" not in repr((KEY, PASSWORD, ADMIN, TOKEN)) and "client'" not in repr(KEY)
