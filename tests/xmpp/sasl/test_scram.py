"""What SCRAM computes (RFC 5802, RFC 7677)."""

from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haproxy_voip.xmpp.errors import SaslFailure
from haproxy_voip.xmpp.sasl.scram import (
    attributes,
    derive_keys,
    digest,
    expect,
    fake_keys,
    from_base64,
    from_saslname,
    sign,
    to_base64,
    to_saslname,
    to_text,
    xor,
)


def test_keys_of_a_password() -> None:
    """RFC 5802 section 5's exchange, with the keys that follow from it."""
    client, server = derive_keys("pencil", "SHA-1", b64decode("QSXCR+Q6sek8bf92"), 4096)
    assert client.client_key.hex() == "e234c47bf6c36696dd6d852b99aaa2ba26555728"
    assert server.stored_key.hex() == "e9d94660c39d65c38fbad91c358f14da0eef2bd6"
    assert server.server_key.hex() == "0fe09258b3ac852ba502cc62ba903eaacdbf7d31"
    assert digest("SHA-1", client.client_key) == server.stored_key
    assert (server.salt, server.iterations, server.algorithm) == (client.salt, 4096, "SHA-1")


def test_a_password_is_prepared_first() -> None:
    assert derive_keys("I\u00adX", "SHA-1", b"salt", 1) == derive_keys("\u2168", "SHA-1", b"salt", 1)


def test_keys_are_not_shown() -> None:
    client, server = derive_keys("pencil", "SHA-256", b"salt", 2)
    assert repr(client) == "ClientKey(algorithm='SHA-256', iterations=2)"
    assert "salt" not in repr(server)


def test_unknown_users_are_challenged_the_same_way_every_time() -> None:
    one = fake_keys(b"node", "SHA-256", "nobody@voip.test", 10_000)
    assert one == fake_keys(b"node", "SHA-256", "nobody@voip.test", 10_000)
    assert one.iterations == 10_000 and len(one.salt) == 16 and len(one.stored_key) == 32
    others = [
        fake_keys(b"node", "SHA-256", "somebody@voip.test"),
        fake_keys(b"node", "SHA-1", "nobody@voip.test"),
        fake_keys(b"other", "SHA-256", "nobody@voip.test"),
    ]
    assert len({one.salt, *(other.salt for other in others)}) == 4
    assert one.stored_key != digest("SHA-256", one.server_key)


@given(st.text())
def test_names_are_escaped(name: str) -> None:
    """RFC 5802 section 5.1."""
    assert from_saslname(to_saslname(name)) == name and "," not in to_saslname(name)


@pytest.mark.parametrize("name", ["=", "a=2c", "=3", "=2D", "a=,"])
def test_a_lone_equals_sign_is_malformed(name: str) -> None:
    with pytest.raises(SaslFailure, match="malformed-request"):
        from_saslname(name)


def test_attributes_come_in_order() -> None:
    assert attributes("a=1,b=x=y") == [("a", "1"), ("b", "x=y")]
    assert expect("n=u,r=x,t=more", "n", "r") == ["u", "x"]


@pytest.mark.parametrize("message", ["", "a", "a=", "=x", "ab=x", "a=1,", ",a=1", "a=1,,b=2", "a=\x00"])
def test_what_are_no_attributes(message: str) -> None:
    with pytest.raises(SaslFailure, match="malformed-request"):
        attributes(message)


@pytest.mark.parametrize("message", ["r=x,n=u", "m=must,n=u,r=x", "n=u"])
def test_attributes_out_of_place(message: str) -> None:
    with pytest.raises(SaslFailure, match="malformed-request"):
        expect(message, "n", "r")


@pytest.mark.parametrize("text", ["a", "====", "YQ", "Y Q==", "YQ==\n", "é"])
def test_what_is_not_base64(text: str) -> None:
    """RFC 6120 section 6.5.5."""
    with pytest.raises(SaslFailure, match="incorrect-encoding"):
        from_base64(text)


def test_small_things() -> None:
    assert from_base64(to_base64(b"\x00\xff")) == b"\x00\xff" and to_text(b"\xc3\xa9") == "é"
    assert xor(b"\x0f\xf0", b"\xff\xff") == b"\xf0\x0f" and len(sign("SHA-1", b"k", b"d")) == 20
    with pytest.raises(SaslFailure):
        to_text(b"\xff")
