"""A user's secret."""

from haproxy_voip.core.credential import Credential


def test_a_credential_never_shows_its_secret() -> None:
    secret = Credential("1001", "voip.test", password="hunter2", ha1="0" * 32, ha1_sha256="1" * 64)
    for text in (repr(secret), str(secret), f"{secret}", f"{[secret]}"):
        assert "1001" in text
        assert "hunter2" not in text and "000" not in text and "111" not in text


def test_credentials_are_compared_by_all_they_hold() -> None:
    assert Credential("1001", "voip.test", password="a") == Credential("1001", "voip.test", password="a")
    assert Credential("1001", "voip.test", password="a") != Credential("1001", "voip.test", password="b")
