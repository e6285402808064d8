"""Stream headers of clients, and features (RFC 6120 sections 4.3 and 4.7)."""

import pytest

from haproxy_voip.xmpp.errors import StreamError
from haproxy_voip.xmpp.header import StreamHeader
from haproxy_voip.xmpp.server_opening import after_login, before_login, domain_of
from tests.xmpp.clients import policy


def header(to: str = "im.example.com", version: str = "1.0", **namespaces: str) -> StreamHeader:
    return StreamHeader(to, "", "", version, "", namespaces=namespaces or {"": "jabber:client"})


@pytest.mark.parametrize("version", ["1.0", "1.1", "2.0", "10.0"])
def test_versions_from_1_0_on(version: str) -> None:
    assert domain_of(header(version=version), policy()) == "im.example.com"


@pytest.mark.parametrize("version", ["", "0.9", "1", "01.0", "1.0.0", "-1.0", "١.٠"])
def test_other_versions(version: str) -> None:
    with pytest.raises(StreamError, match="unsupported-version"):
        domain_of(header(version=version), policy())


def test_any_of_our_domains() -> None:
    assert domain_of(header("OTHER.example."), policy()) == "other.example"
    with pytest.raises(StreamError, match="host-unknown"):
        domain_of(header("third.example"), policy())


def test_the_content_namespace_may_have_a_prefix() -> None:
    """RFC 6120 section 4.8.3."""
    assert domain_of(header(c="jabber:client"), policy())
    with pytest.raises(StreamError, match="invalid-namespace"):
        domain_of(header(c="jabber:server"), policy())


def test_features_before_and_after_login() -> None:
    assert b"<starttls " in before_login(policy(), (), protected=False)
    assert b"<starttls " not in before_login(policy(), ("PLAIN",), protected=True)
    told = after_login(policy(idle_seconds=600, max_stanza_bytes=10_000), b"<x xmlns='urn:x'/>")
    assert b"<max-bytes>10000</max-bytes><idle-seconds>600</idle-seconds></limits><x xmlns='urn:x'/></stream" in told
