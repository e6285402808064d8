"""Passwords (RFC 4013)."""

import pytest

from haproxy_voip.xmpp.sasl.saslprep import saslprep


@pytest.mark.parametrize(
    ("text", "expected"),
    [("I\u00adX", "IX"), ("user", "user"), ("USER", "USER"), ("\u00aa", "a"), ("\u2168", "IX"), ("a\u00a0b", "a b")],
)
def test_examples_of_the_rfc(text: str, expected: str) -> None:
    """Section 3, table 1."""
    assert saslprep(text) == expected


@pytest.mark.parametrize("text", ["\u0007", "a\x00b", "\ue000", "\u200e"])
def test_what_may_not_be_in_a_password(text: str) -> None:
    with pytest.raises(ValueError):
        saslprep(text)
