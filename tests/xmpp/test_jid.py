"""Addresses (RFC 7622)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haproxy_voip.xmpp.jid import CACHED_CHARACTERS, Jid, prepared_domain, prepared_local, prepared_resource


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # RFC 7622 section 3.5, table 1.
        ("juliet@example.com", Jid("juliet", "example.com")),
        ("juliet@example.com/foo", Jid("juliet", "example.com", "foo")),
        ("juliet@example.com/foo bar", Jid("juliet", "example.com", "foo bar")),
        ("juliet@example.com/foo@bar", Jid("juliet", "example.com", "foo@bar")),
        ("foo\\20bar@example.com", Jid("foo\\20bar", "example.com")),
        ("fussball@example.com", Jid("fussball", "example.com")),
        ("π@example.com", Jid("π", "example.com")),
        ("Σ@example.com/foo", Jid("σ", "example.com", "foo")),
        ("king@example.com/♚", Jid("king", "example.com", "♚")),
        ("example.com", Jid("", "example.com")),
        ("example.com/foobar", Jid("", "example.com", "foobar")),
        ("a.example.com/b@example.net", Jid("", "a.example.com", "b@example.net")),
        # Compared without regard to case, but for the resource.
        ("Juliet@Example.COM./Balcony", Jid("juliet", "example.com", "Balcony")),
        ("juliet@[2001:db8::1]", Jid("juliet", "[2001:db8::1]")),
        ("ＪＵＬＩＥＴ@example。com", Jid("juliet", "example.com")),
        ("ju\u00adliet@example.com", Jid("juliet", "example.com")),
    ],
)
def test_addresses_are_prepared(text: str, expected: Jid) -> None:
    assert Jid.parse(text) == expected
    assert Jid.parse(str(expected)) == expected


@pytest.mark.parametrize(
    "text",
    [
        # RFC 7622 section 3.5, table 2, but for what stringprep lets pass.
        '"juliet"@example.com',
        "foo bar@example.com",
        "@example.com",
        "@example.com/foo",
        "juliet@",
        "/foobar",
        "",
        "juliet@example.com/",
        "a@b@c",
        "a<b@example.com",
        "a:b@example.com",
        "a@exa mple.com",
        "a@.example.com",
        "a@example..com",
        "a\x00b@example.com",
        "a@example.com/\x07",
        "a@example.com/\u202e",
        "\u2003a@example.com",
        "a@exam\u2003ple.com",
        "x" * 1024 + "@example.com",
        "é" * 512 + "@example.com",
        "a@" + "x" * 1024,
        "a@b/" + "x" * 1024,
        "a@b/\ud800",
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError):
        Jid.parse(text)


def test_parts_may_have_1023_bytes() -> None:
    part = "x" * 1023
    assert Jid.parse(f"{part}@{part}/{part}") == Jid(part, part, part)


def test_the_bare_address() -> None:
    full = Jid.parse("juliet@example.com/balcony")
    assert full.bare == Jid("juliet", "example.com") and full.bare.is_bare and not full.is_bare
    assert full.bare.bare is full.bare or full.bare.bare == full.bare
    assert full.bare.with_resource("garden") == Jid("juliet", "example.com", "garden")
    with pytest.raises(ValueError):
        full.with_resource("")


def test_equal_addresses_are_one_object() -> None:
    text = "cached@example.com/once"
    assert Jid.parse(text) is Jid.parse(text)
    long = "a@b/" + "x" * CACHED_CHARACTERS
    assert Jid.parse(long) is not Jid.parse(long)


@given(st.text(max_size=12))
def test_preparing_twice_is_preparing_once(text: str) -> None:
    for prepare in (prepared_local, prepared_domain, prepared_resource):
        try:
            once = prepare(text)
        except ValueError:
            continue
        try:
            assert prepare(once) == once
        except ValueError:
            assert not text.isascii()  # NFKC may make a forbidden character of two others
