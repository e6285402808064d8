"""PLAIN (RFC 4616)."""

import pytest

from haproxy_voip.xmpp.errors import SaslFailure
from haproxy_voip.xmpp.sasl.plain import Plain, localpart_of


@pytest.mark.parametrize(
    "plain", [Plain("", "tim", "tanstaaftanstaaf"), Plain("Ursel", "Kurt", "xipj3plmq"), Plain("", "é", "π")]
)
def test_what_is_written_is_read(plain: Plain) -> None:
    """RFC 4616 section 4."""
    assert Plain.parse(plain.encode()) == plain


@pytest.mark.parametrize(
    "message", [b"", b"\0", b"\0\0", b"a\0b", b"\0tim\0", b"\0\0secret", b"\0a\0b\0c", b"\0\xff\0a"]
)
def test_what_is_malformed(message: bytes) -> None:
    with pytest.raises(SaslFailure, match="malformed-request"):
        Plain.parse(message)


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(Plain("", "tim", "secret"))


@pytest.mark.parametrize(
    ("authcid", "authzid"),
    [
        ("juliet", ""),
        ("Juliet", ""),
        ("juliet@voip.test", ""),
        ("juliet", "juliet@voip.test"),
        ("JULIET@VOIP.test", "Juliet@voip.TEST"),
    ],
)
def test_who_logs_in(authcid: str, authzid: str) -> None:
    """RFC 6120 sections 6.3.7 and 6.3.8."""
    assert localpart_of(authcid, authzid, "voip.test") == "juliet"


@pytest.mark.parametrize("authcid", ["juliet@other.test", "ju liet", "@voip.test", "juliet@voip.test/balcony", "a@b@c"])
def test_who_does_not(authcid: str) -> None:
    with pytest.raises(SaslFailure, match="not-authorized"):
        localpart_of(authcid, "", "voip.test")


@pytest.mark.parametrize(
    "authzid", ["romeo@voip.test", "juliet", "juliet@other.test", "juliet@voip.test/a", "@", "a b"]
)
def test_nobody_acts_for_another(authzid: str) -> None:
    """RFC 6120 section 6.5.6."""
    with pytest.raises(SaslFailure, match="invalid-authzid"):
        localpart_of("juliet", authzid, "voip.test")
