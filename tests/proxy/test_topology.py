"""What crosses from one leg to the other, and in which words."""

from __future__ import annotations

import pytest

from haproxy_voip.core.address import Address, Flow, Transport
from haproxy_voip.proxy.leg import Leg, Legs, Side
from haproxy_voip.proxy.topology import Topology
from haproxy_voip.sip.dialog import Dialog
from haproxy_voip.sip.headers import NameAddr
from haproxy_voip.sip.message import Request, header
from tests.proxy.stage import DOMAIN
from tests.proxy.talk import calm, incoming, outgoing

OWN = frozenset({"voip.test", "192.0.2.1"})
BACKENDS = ("10.0.0.11", "10.0.0.12", "2001:db8::11")
FLOW = Flow(Transport.UDP, Address("192.0.2.1", 5060), Address("198.51.100.7", 5060))


@pytest.fixture
def legs() -> Legs:
    return Legs()


@pytest.fixture
def topology(legs: Legs) -> Topology:
    return Topology("voip.test", OWN, BACKENDS, legs)


def leg(side: Side, call_id: str, local: str, remote: str) -> Leg:
    dialog = Dialog(call_id, local, remote, "<sip:a@b>", "<sip:c@d>", "sip:c@d", [], False)
    return Leg(side, dialog, FLOW, "<sip:us@192.0.2.1>", None)  # type: ignore[arg-type]


def pair(legs: Legs) -> None:
    """The client calls it `at-client`, the backend `at-backend`."""
    client, backend = leg(Side.CLIENT, "at-client", "us1", "phone"), leg(Side.BACKEND, "at-backend", "us2", "pbx")
    client.peer, backend.peer = backend, client
    legs.add(client)
    legs.add(backend)


def carried(topology: Topology, *lines: tuple[str, str]) -> dict[str, str]:
    request = Request("INFO", "sip:x@y", [header(name, value) for name, value in lines])
    return {name: value for name, value, _ in topology.carried(request, BACKENDS)}


# -- hosts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<sip:1001@10.0.0.11>", "<sip:1001@voip.test>"),
        ("<sip:1001@10.0.0.11:5060;x=y>", "<sip:1001@voip.test;x=y>"),
        ("<sip:10.0.0.11;lr>", "<sip:voip.test;lr>"),
        ("399 10.0.0.12:5060 \"text\"", "399 voip.test \"text\""),
        ("<sip:1001@[2001:db8::11]:5060>", "<sip:1001@voip.test>"),
        ("seen 2001:db8::11 here", "seen voip.test here"),
        ("<sip:1001@10.0.0.110>", "<sip:1001@10.0.0.110>"),
        ("<sip:1001@110.0.0.11>", "<sip:1001@110.0.0.11>"),
        ("<sip:1001@10.0.0.11.example>", "<sip:1001@voip.test.example>"),
        ("2001:db8::11:5", "2001:db8::11:5"),
        ("at 10.0.0.11.", "at voip.test."),
    ],
)  # fmt: skip
def test_hosts_are_hidden_where_they_stand_alone(topology: Topology, text: str, expected: str) -> None:
    assert topology.scrubbed(text, BACKENDS) == expected


def test_text_without_such_hosts_is_the_same_object(topology: Topology) -> None:
    text = "Alert-Info: <http://192.0.2.1/ring.wav>"
    assert topology.scrubbed(text, BACKENDS) is text


def test_our_own_hosts_and_bare_words_are_nothing_to_hide(topology: Topology) -> None:
    hosts = ("192.0.2.1", "10.0.0.11", "phone", "198.51.100.7", "198.51.100.7", "pc.example")
    assert topology.hidden(Side.CLIENT, hosts) == ("198.51.100.7", "pc.example")
    assert topology.hidden(Side.BACKEND, ()) == BACKENDS


# -- headers ------------------------------------------------------------------------------------------


def test_what_belongs_to_one_dialog_or_hop_does_not_cross(topology: Topology) -> None:
    names = (
        "Via",
        "Contact",
        "Route",
        "Record-Route",
        "CSeq",
        "Call-ID",
        "Proxy-Authorization",
        "Authorization",
        "Path",
    )
    assert carried(topology, *((name, "x") for name in names)) == {}


def test_other_headers_cross_as_they_came(topology: Topology) -> None:
    line = ("x-strange", "a ,  b", "X-Strange:a ,  b")
    request = Request("INFO", "sip:x@y", [line])
    assert topology.carried(request, BACKENDS) == [line]


def test_an_asserted_identity_loses_the_backends_address(topology: Topology) -> None:
    kept = carried(topology, ("P-Asserted-Identity", '"Alice" <sip:1001@10.0.0.11>'))
    assert kept["p-asserted-identity"] == '"Alice" <sip:1001@voip.test>'


@pytest.mark.parametrize("privacy", ["id", "header;id", "ID ; critical"])
def test_an_asserted_identity_that_is_private_is_told_to_nobody(topology: Topology, privacy: str) -> None:
    kept = carried(topology, ("P-Asserted-Identity", "<sip:1001@10.0.0.11>"), ("Privacy", privacy))
    assert list(kept) == ["privacy"]


def test_an_identity_a_client_asserts_reaches_no_backend() -> None:
    talk = outgoing(calm(), p_asserted_identity="<sip:9999@voip.test>", remote_party_id="<sip:9999@voip.test>")
    assert not talk.invited.has("p-asserted-identity") and not talk.invited.has("remote-party-id")


def test_an_identity_a_client_asserts_in_a_response_reaches_no_backend() -> None:
    talk = incoming(calm())
    assert not talk.provisional(180, p_asserted_identity="<sip:9999@voip.test>").has("p-asserted-identity")
    assert not talk.answer(p_asserted_identity="<sip:9999@voip.test>").has("p-asserted-identity")


def test_an_identity_a_backend_asserts_reaches_the_client() -> None:
    talk = incoming(calm(), p_asserted_identity="<sip:1001@127.0.0.11>")
    assert talk.invited.get("p-asserted-identity") == f"<sip:1001@{DOMAIN}>"


# -- dialogs named in headers -------------------------------------------------------------------------


def test_a_dialog_is_renamed_for_the_other_side(topology: Topology, legs: Legs) -> None:
    pair(legs)
    value = "at-client;to-tag=us1;from-tag=phone"
    assert carried(topology, ("Replaces", value))["replaces"] == "at-backend;to-tag=pbx;from-tag=us2"
    assert carried(topology, ("Join", value))["join"] == "at-backend;to-tag=pbx;from-tag=us2"


def test_a_dialog_is_renamed_for_a_third_party_too(topology: Topology, legs: Legs) -> None:
    pair(legs)
    value = "at-client;to-tag=phone;from-tag=us1;early-only"
    renamed = "at-backend;to-tag=us2;from-tag=pbx;early-only"
    assert carried(topology, ("Replaces", value))["replaces"] == renamed


def test_a_dialog_that_is_none_of_ours_keeps_its_name(topology: Topology) -> None:
    for value in ("other;to-tag=1;from-tag=2", "nonsense"):
        assert carried(topology, ("Replaces", value))["replaces"] == value


def test_target_dialog_is_renamed(topology: Topology, legs: Legs) -> None:
    pair(legs)
    value = "at-client;local-tag=phone;remote-tag=us1"
    assert carried(topology, ("Target-Dialog", value))["target-dialog"] == "at-backend;remote-tag=pbx;local-tag=us2"
    assert carried(topology, ("Target-Dialog", "x;local-tag=1;remote-tag=2"))["target-dialog"] == (
        "x;local-tag=1;remote-tag=2"
    )


def test_replaces_within_refer_to_is_renamed(topology: Topology, legs: Legs) -> None:
    pair(legs)
    value = "<sip:1003@voip.test?Subject=x&Replaces=at-client%3Bto-tag%3Dus1%3Bfrom-tag%3Dphone>"
    renamed = "<sip:1003@voip.test?Subject=x&Replaces=at-backend%3Bto-tag%3Dpbx%3Bfrom-tag%3Dus2>"
    assert carried(topology, ("Refer-To", value))["refer-to"] == renamed


# -- bodies -------------------------------------------------------------------------------------------


def test_bodies_lose_hosts_too(topology: Topology) -> None:
    request = Request("NOTIFY", "sip:x@y", [header("Content-Type", "message/sipfrag")])
    request.body = b"SIP/2.0 200 OK\r\nContact: <sip:1@10.0.0.11:5060>\r\n"
    assert topology.body(request, BACKENDS) == b"SIP/2.0 200 OK\r\nContact: <sip:1@voip.test>\r\n"


def test_bytes_that_are_no_text_survive(topology: Topology) -> None:
    request = Request("INFO", "sip:x@y", [])
    request.body = b"\xff\xfe10.0.0.11\x80"
    assert topology.body(request, BACKENDS) == b"\xff\xfevoip.test\x80"


def test_dialog_info_names_dialogs_as_the_watcher_knows_them(topology: Topology, legs: Legs) -> None:
    """RFC 4235: a watcher picks the call up with Replaces, so the names must be those of its own side."""
    pair(legs)
    request = Request("NOTIFY", "sip:x@y", [header("Content-Type", "application/dialog-info+xml")])
    request.body = b'<dialog id="1" call-id="at-backend" local-tag="us2" remote-tag="pbx" direction="recipient">'
    wanted = b'<dialog id="1" call-id="at-client" local-tag="phone" remote-tag="us1" direction="recipient">'
    assert topology.body(request, BACKENDS) == wanted
    request.body = b'<dialog id="1" call-id="unknown" local-tag="a" remote-tag="b"/><dialog id="2">'
    assert topology.body(request, BACKENDS) == request.body


# -- From and To --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("party", "identity"),
    [
        ("<sip:1001@voip.test>;tag=x", "<sip:1001@voip.test>"),
        ("<sip:1001@10.0.0.11:5060>", "<sip:1001@voip.test>"),
        ("<sip:1001@198.51.100.7>", "<sip:1001@voip.test>"),
        ("<sip:1001@carrier.example>", "<sip:1001@carrier.example>"),
        ('"Ann \\"A\\" Smith, jr." <sip:1001@voip.test>', '"Ann \\"A\\" Smith, jr." <sip:1001@voip.test>'),
        ("Ann <sip:1001@voip.test>", '"Ann" <sip:1001@voip.test>'),
        ('"Jürgen" <sip:1001@voip.test>', '"Jürgen" <sip:1001@voip.test>'),
        ("<sip:*72%23@voip.test>", "<sip:*72%23@voip.test>"),
        ("<sip:+4930@voip.test;user=phone>", "<sip:+4930@voip.test;user=phone>"),
        ("<tel:+49-30-123;phone-context=x>;tag=1", "<tel:+49-30-123;phone-context=x>"),
        ("sip:voip.test", "<sip:voip.test>"),
        ("<sip:anonymous@anonymous.invalid>", "<sip:anonymous@anonymous.invalid>"),
    ],
)
def test_identities(topology: Topology, party: str, identity: str) -> None:
    assert topology.identity(NameAddr.parse(party)) == identity


def test_an_opaque_user_is_replaced_by_the_name_people_know(topology: Topology) -> None:
    assert topology.identity(NameAddr.parse("<sip:4711token@192.0.2.1>"), "1002") == "<sip:1002@voip.test>"
