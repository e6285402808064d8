"""What goes through on an established stream."""

import pytest

from haproxy_voip.xmpp.framing import Framed, StreamEnd, Whitespace
from haproxy_voip.xmpp.server_established import once_established, passes
from tests.xmpp.clients import policy
from tests.xmpp.samples import AWKWARD, BIND, HEADER, MESSAGE, PRESENCE, REQUEST, ROSTER, opened, stanza


@pytest.mark.parametrize("raw", [MESSAGE, PRESENCE, ROSTER, AWKWARD])
def test_stanzas_pass_unseen(raw: bytes) -> None:
    assert passes(stanza(raw)) and passes(Whitespace.KEEPALIVE)


@pytest.mark.parametrize("item", [stanza(BIND), stanza(REQUEST), stanza(b"<message xmlns='x'/>"), StreamEnd.END])
def test_the_rest_is_looked_at(item: Framed) -> None:
    assert not passes(item) and not passes(opened(b"").feed(HEADER)[0])


def test_what_belongs_to_the_session_goes_to_it() -> None:
    for raw in (
        REQUEST,
        b"<active xmlns='urn:xmpp:csi:0'/>",
        BIND.replace(b"<bind xmlns='urn:ietf:params:xml:ns:", b"<bind xmlns='"),
    ):
        found = stanza(raw)
        assert once_established(found, policy(), managed=True) is found
