import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.headers import CSEQ_MAX, CSeq, NameAddr, RAck, Replaces, SessionExpires, Via
from haproxy_voip.sip.uri import Uri

Value = type[NameAddr] | type[Via] | type[CSeq] | type[RAck] | type[Replaces] | type[SessionExpires]

ROUND_TRIPS: list[tuple[Value, str]] = [
    (NameAddr, "*"),
    (NameAddr, "<sip:voip.test>"),
    (NameAddr, '"Ann \\"A\\" \\\\ Lee" <sip:1001@voip.test;lr>;tag=5f3a9b'),
    (NameAddr, '"J\u00fcrgen" <sip:1001@[2001:db8::7]:5060>;+sip.instance="<urn:uuid:1>";reg-id=1'),
    (NameAddr, "<isbn:2983792873>;tag=1"),
    (Via, "SIP/2.0/UDP 192.0.2.7:5062;branch=z9hG4bK-1;rport;received=192.0.2.8"),
    (Via, "SIP/2.0/WSS df7jal23ls0d.invalid;branch=z9hG4bK-1"),
    (Via, "SIP/2.0/TLS [2001:db8::7];branch=z9hG4bK-1"),
    (CSeq, "1 INVITE"),
    (CSeq, f"{CSEQ_MAX} !odd-Method"),
    (RAck, "776656 1 INVITE"),
    (Replaces, "98732@sip.example.com;to-tag=ff87ff;from-tag=r33th4x0r"),
    (Replaces, "98732;to-tag=0;from-tag=1;early-only"),
    (SessionExpires, "1800"),
    (SessionExpires, "1800;refresher=uas"),
]


@pytest.mark.parametrize(("kind", "text"), ROUND_TRIPS)
def test_a_value_survives_a_round_trip(kind: Value, text: str) -> None:
    assert str(kind.parse(text)) == text


@pytest.mark.parametrize(("kind", "text"), ROUND_TRIPS)
def test_every_prefix_is_read_or_refused(kind: Value, text: str) -> None:
    for end in range(len(text)):
        try:
            value = kind.parse(text[:end])
        except MessageError:
            continue
        assert kind.parse(str(value)) == value


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(sorted({kind for kind, _ in ROUND_TRIPS}, key=str)),
    st.text('"<>;,=\\ sip:/2.0UDPat@1', max_size=24),
)
def test_noise_is_read_or_refused(kind: Value, noise: str) -> None:
    try:
        value = kind.parse(noise)
    except MessageError:
        return
    assert kind.parse(str(value)) == value


@pytest.mark.parametrize(
    ("text", "display", "uri", "tag"),
    [
        ("sip:a@voip.test", "", "sip:a@voip.test", None),
        ("sip:a@voip.test;tag=1", "", "sip:a@voip.test", "1"),  # 20.10: not the URI's
        ("<sip:a@voip.test;tag=1>", "", "sip:a@voip.test;tag=1", None),
        ("sip:a@voip.test ;   tag    = 1918181833n", "", "sip:a@voip.test", "1918181833n"),
        ("caller<sip:a@voip.test>;tag=323", "caller", "sip:a@voip.test", "323"),  # RFC 4475 3.1.1.6
        ("Ann Lee  <sip:a@voip.test>", "Ann Lee", "sip:a@voip.test", None),
        ('"A, <B> \\\\ \\"" <sip:a@voip.test> ; tag=1', 'A, <B> \\ "', "sip:a@voip.test", "1"),
        ('""<sip:a@voip.test>', "", "sip:a@voip.test", None),
        ("\udcff <sip:a@voip.test>", "\udcff", "sip:a@voip.test", None),
    ],
)
def test_an_address_in_each_of_its_forms(text: str, display: str, uri: str, tag: str | None) -> None:
    address = NameAddr.parse(text)
    assert (address.display, str(address.uri), address.tag) == (display, uri, tag)
    assert not address.star


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Ann",
        "<>",
        "<sip:a@voip.test",
        "sip:a@voip.test>",
        '"Ann <sip:a@voip.test>',
        "Bell, Alexander <sip:a@voip.test>",  # RFC 4475 3.1.2.15
        "< sip:a@voip.test >",  # 3.1.2.14
        "sip:a@voip.test?Route=%3Csip:b%3E",  # 3.1.2.13
        "sip:a@voip.test;x?y=z",
        "<sip:a@voip.test> x",
        "<sip:a@voip.test>;",
        "<sip:a@voip.test>;tag=1;tag=2",
        "<sip:a@voip.test>,",
        "<<sip:a@voip.test>>",
        "**",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(MessageError):
        NameAddr.parse(text)


def test_a_star_is_no_address() -> None:
    assert NameAddr.parse("*").star


def test_an_address_is_changed_by_making_another() -> None:
    address = NameAddr(Uri.parse("sip:a@voip.test"), 'A "B"')
    assert str(address.with_tag("1").with_tag("2")) == '"A \\"B\\"" <sip:a@voip.test>;tag=2'
    assert (
        str(address.with_param("ob").without_param("ob").with_param("q", "0.5"))
        == '"A \\"B\\"" <sip:a@voip.test>;q=0.5'
    )
    assert address.param("q") is None


def test_a_nul_in_a_display_name_stays_quoted() -> None:
    """RFC 4475 3.1.1.2: quoted-pair allows it, and nothing else does."""
    address = NameAddr.parse('"NUL:\\\0" <sip:a@voip.test>')
    assert address.display == "NUL:\0"
    assert str(address) == '"NUL:\\\0" <sip:a@voip.test>'


def test_a_via_with_space_in_every_place_it_may_have() -> None:
    """RFC 4475 3.1.1.1."""
    via = Via.parse("SIP  / 2.0  / TCP     spindle.example.com : 5062  ;  branch  =   z9hG4bK9ikj8")
    assert (via.transport, via.host, via.port, via.branch) == ("TCP", "spindle.example.com", 5062, "z9hG4bK9ikj8")


def test_a_via_tells_its_parameters() -> None:
    via = Via.parse("sip/2.0/udp [2001:DB8::7]:5062;branch=1;received=2001:db8::8;rport=5064;x")
    assert (via.transport, via.sent_by, via.received, via.rport) == ("UDP", "[2001:db8::7]:5062", "2001:db8::8", 5064)
    assert (via.param("x"), via.param("y")) == ("", None)


@pytest.mark.parametrize(("written", "port"), [("", None), (";rport", 0), (";rport=5060", 5060), (";rport=x", 0)])
def test_rport_is_absent_asked_for_or_given(written: str, port: int | None) -> None:
    """RFC 3581 section 3."""
    assert Via.parse(f"SIP/2.0/UDP 192.0.2.7{written}").rport == port


def test_a_via_is_changed_by_making_another() -> None:
    via = Via.parse("SIP/2.0/UDP 192.0.2.7;rport;branch=1")
    assert str(via.with_param("rport", "9").with_param("received", "192.0.2.9")) == (
        "SIP/2.0/UDP 192.0.2.7;rport=9;branch=1;received=192.0.2.9"
    )


@pytest.mark.parametrize(
    "text",
    ["", "SIP/2.0/UDP", "SIP/2.0/UDP ", "SIP/1.0/UDP h", "HTTP/2.0/UDP h", "SIP/2.0/UDP h:", "SIP/2.0/UDP h:0",
     "SIP/2.0/UDP h;", "SIP/2.0/UDP h;;branch=1", "SIP/2.0/UDP h branch=1", "SIP/2.0 UDP h", "SIP/2.0/UDP [1:2]",
     "SIP/2.0/UDP 192.0.2.15;;,;,,"],
)  # fmt: skip
def test_what_is_no_via_is_refused(text: str) -> None:
    with pytest.raises(MessageError):
        Via.parse(text)


@pytest.mark.parametrize(("text", "number"), [("0009   INVITE", 9), ("0 BYE", 0), (f"{CSEQ_MAX}\tBYE", CSEQ_MAX)])
def test_a_cseq_is_read(text: str, number: int) -> None:
    assert CSeq.parse(text).number == number


@pytest.mark.parametrize(
    "text",
    ["", "1", "INVITE", "1INVITE", "-1 BYE", "1 BYE x", f"{CSEQ_MAX + 1} BYE", f"{'9' * 5000} BYE", "1 B<E", "٣ BYE"],
)
def test_what_is_no_cseq_is_refused(text: str) -> None:
    with pytest.raises(MessageError):
        CSeq.parse(text)


@pytest.mark.parametrize("text", ["", "1 INVITE", "1 2", "1 2 3 INVITE", "x 1 INVITE", f"{2**31} 1 INVITE"])
def test_what_is_no_rack_is_refused(text: str) -> None:
    with pytest.raises(MessageError):
        RAck.parse(text)


@pytest.mark.parametrize("text", ["", "a", "a;to-tag=1", "a;from-tag=1", ";to-tag=1;from-tag=2", "a;to-tag;from-tag=2"])
def test_replaces_must_name_a_dialog(text: str) -> None:
    with pytest.raises(MessageError):
        Replaces.parse(text)


def test_replaces_tells_both_tags_apart() -> None:
    replaces = Replaces.parse("a@b ; from-tag=1;to-tag=2 ;early-only")
    assert replaces == Replaces("a@b", to_tag="2", from_tag="1", early_only=True)


@pytest.mark.parametrize("text", ["", "x", "-1", "1800;refresher=me", "1800;refresher", "99999999999"])
def test_what_is_no_session_interval_is_refused(text: str) -> None:
    with pytest.raises(MessageError):
        SessionExpires.parse(text)


def test_a_refresher_is_read_in_any_case() -> None:
    assert SessionExpires.parse("90 ;refresher=UAC") == SessionExpires(90, "uac")
