"""Stream features (RFC 6120 section 4.3.2)."""

from haproxy_voip.xmpp import features
from haproxy_voip.xmpp.features import Features
from tests.xmpp.samples import stanza


def read(raw: bytes) -> Features:
    found = stanza(raw)
    assert features.is_features(found.name, found.namespace)
    return Features.read(found.element())


def test_what_is_offered_is_read() -> None:
    offer = [features.starttls(required=True), *features.mechanisms(["SCRAM-SHA-1-PLUS", "PLAIN"])]
    found = read(features.encode(offer))
    assert found.starttls and found.starttls_required
    assert found.mechanisms == ("SCRAM-SHA-1-PLUS", "PLAIN")
    assert found.channel_bindings == ("tls-server-end-point",)


def test_channel_bindings_are_told_where_there_is_something_to_bind() -> None:
    """XEP-0440."""
    assert read(features.encode(features.mechanisms(["SCRAM-SHA-1"]))).channel_bindings == ()


def test_optional_starttls() -> None:
    found = read(features.encode([features.starttls(required=False)]))
    assert found.starttls and not found.starttls_required and found.mechanisms == ()


def test_what_follows_login() -> None:
    limits = features.limits(262_144, 1_800)
    found = read(features.encode([*features.after_login(management=True), limits], b"<csi xmlns='urn:xmpp:csi:0'/>"))
    assert found.namespaces == {
        "urn:ietf:params:xml:ns:xmpp-bind",
        "urn:ietf:params:xml:ns:xmpp-session",
        "urn:xmpp:sm:3",
        "urn:xmpp:stream-limits:0",
        "urn:xmpp:csi:0",
    }
    assert [child.text for child in limits.children] == ["262144", "1800"]  # XEP-0478
    assert "urn:xmpp:sm:3" not in read(features.encode(features.after_login(management=False))).namespaces


def test_nothing_offered() -> None:
    assert read(b"<stream:features/>") == Features()


def test_a_flood_of_mechanisms_is_not_read_to_its_end() -> None:
    assert len(read(features.encode(features.mechanisms(f"M{n}" for n in range(500)))).mechanisms) < 50
