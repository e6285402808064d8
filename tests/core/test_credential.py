"""A user's secret."""

import pytest

from haproxy_voip.core.credential import Credential, ScramKeys


def test_a_credential_never_shows_its_secret() -> None:
    secret = Credential("1001", "voip.test", password="hunter2", ha1="0" * 32, ha1_sha256="1" * 64)
    for text in (repr(secret), str(secret), f"{secret}", f"{[secret]}"):
        assert "1001" in text
        assert "hunter2" not in text and "000" not in text and "111" not in text


def test_scram_keys_are_not_shown_either() -> None:
    keys = ScramKeys("SHA-256", b"salty", 4096, b"stored", b"server")
    for text in (repr(keys), str(keys), f"{[keys]}"):
        assert "SHA-256" in text and "4096" in text
        assert "salty" not in text and "stored" not in text and "server" not in text


def test_credentials_are_compared_by_all_they_hold() -> None:
    assert Credential("1001", "voip.test", password="a") == Credential("1001", "voip.test", password="a")
    assert Credential("1001", "voip.test", password="a") != Credential("1001", "voip.test", password="b")


STORED = "SCRAM-SHA-256$4096:c2FsdA==$" + "A" * 43 + "=:" + "B" * 43 + "="


def test_scram_keys_are_read_as_rfc_5803_writes_them() -> None:
    keys = ScramKeys.parse(STORED)
    assert (keys.algorithm, keys.iterations, keys.salt) == ("SHA-256", 4096, b"salt")
    assert len(keys.stored_key) == len(keys.server_key) == 32


@pytest.mark.parametrize(
    "text",
    [
        "",
        STORED[:-1],
        STORED.replace("SHA-256", "MD5"),
        STORED.replace("SHA-256", "SHA-1"),
        STORED.replace("4096", "0"),
        STORED.replace("c2FsdA==", "c2FsdA="),
        STORED + "\n",
    ],
)
def test_other_texts_are_refused_without_being_told(text: str) -> None:
    with pytest.raises(ValueError) as refused:
        ScramKeys.parse(text)
    assert "AAAA" not in str(refused.value)


def test_keys_for_chat_are_of_no_use_for_telephony() -> None:
    assert not Credential("1001", "voip.test", scram_sha_256=STORED).can_call
    assert Credential("1001", "voip.test", ha1="0" * 32).can_call
