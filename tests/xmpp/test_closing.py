"""Stream errors (RFC 6120 section 4.9)."""

import pytest

from haproxy_voip.xmpp.closing import encode_error, read_error
from haproxy_voip.xmpp.errors import StreamCondition, StreamError
from haproxy_voip.xmpp.management import too_high
from tests.xmpp.samples import stanza


@pytest.mark.parametrize("condition", StreamCondition)
@pytest.mark.parametrize("text", ["", '<what> & "why"'])
def test_what_is_told_is_read(condition: StreamCondition, text: str) -> None:
    error = read_error(stanza(encode_error(StreamError(condition, text))).element())
    assert (error.condition, error.text, error.application) == (condition, text, b"")


def test_an_application_condition_goes_along() -> None:
    """RFC 6120 section 4.9.4, XEP-0198 section 4."""
    error = read_error(stanza(encode_error(too_high(10, 8))).element())
    assert error.condition is StreamCondition.UNDEFINED_CONDITION
    assert error.application == b"<handled-count-too-high xmlns='urn:xmpp:sm:3' h='10' send-count='8'/>"


@pytest.mark.parametrize(
    "inside", [b"", b"<made-up xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>", b"<x xmlns='urn:x'/>"]
)
def test_conditions_nobody_knows_are_undefined(inside: bytes) -> None:
    error = read_error(stanza(b"<stream:error>" + inside + b"</stream:error>").element())
    assert error.condition is StreamCondition.UNDEFINED_CONDITION
