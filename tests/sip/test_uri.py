import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.uri import CACHED_LENGTH, Uri, escape_user, unescape

ROUND_TRIPS = [
    "sip:voip.test",
    "sip:1001@voip.test",
    "sips:ann:se%20cret@voip.test:5061;transport=tcp;lr?subject=a%20b&priority=urgent",
    "sip:user;par=u%40example.net@example.com",
    "sip:+19725552222;isub=1@gw1.example.net;user=phone",
    "sip:[2001:db8::7]:5060;transport=tcp",
    "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com",
    "sip:*72#@voip.test",
    "sip:a@h?Replaces=1%3Bto-tag%3D2&x=",
    "tel:+1-201-555-0123;phone-context=example.com",
    "soap.beep://192.0.2.103:3002",
]


@pytest.mark.parametrize("text", ROUND_TRIPS)
def test_a_uri_survives_a_round_trip(text: str) -> None:
    assert str(Uri.parse(text)) == text


def test_the_parts_of_a_uri() -> None:
    uri = Uri.parse("SIPS:Ann:pw@VoIP.Test:5061;Transport=TCP;lr;x=1?a=b&c=")
    assert (uri.scheme, uri.user, uri.password, uri.host, uri.port) == ("sips", "Ann", "pw", "voip.test", 5061)
    assert uri.params == (("transport", "TCP"), ("lr", None), ("x", "1"))
    assert uri.headers == (("a", "b"), ("c", ""))
    assert (uri.transport, uri.loose, uri.param("x"), uri.param("y")) == ("tcp", True, "1", None)


def test_other_schemes_stay_opaque() -> None:
    uri = Uri.parse("TEL:+1234;ext=5")
    assert (uri.scheme, uri.opaque, uri.host, uri.is_sip) == ("tel", "+1234;ext=5", "", False)
    assert uri.address_of_record == "tel:+1234;ext=5"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "voip.test",
        "sip:",
        "sip:@voip.test",
        "sip:a@",
        "sip:a b@voip.test",
        " sip:a@voip.test",
        "sip:a@voip.test ",
        "sip:a@voip.test:0",
        "sip:a@voip.test:65536",
        "sip:a@voip.test:port",
        "sip:a@voip.test;",
        "sip:a@voip.test;;lr",
        "sip:a@voip.test;lr;LR",
        "sip:a@voip.test?",
        "sip:a@voip.test?a",
        "sip:a@b@voip.test",
        "sip:a%4@voip.test",
        "sip:a%zz@voip.test",
        "sip:[::1",
        "sip:[:::]",
        "sip:a@[2001:db8]",
        "sip:\u00e4@voip.test",
        "<sip:a@voip.test>",
        "sip:a@voip.test;x=<",
        "1sip:a",
        "http:a b",
        "name:\x00",
    ],
)
def test_what_is_no_uri_is_refused(text: str) -> None:
    with pytest.raises(MessageError):
        Uri.parse(text)


@pytest.mark.parametrize("text", ROUND_TRIPS)
def test_every_prefix_is_read_or_refused(text: str) -> None:
    for end in range(len(text)):
        try:
            uri = Uri.parse(text[:end])
        except MessageError:
            continue
        assert str(uri).lower() == text[:end].lower()


@settings(max_examples=100, deadline=None)
@given(st.text('sip:@a1[].;=?&%4 <>"\\\x00ä', max_size=20))
def test_noise_is_read_or_refused(noise: str) -> None:
    try:
        uri = Uri.parse(f"sip:{noise}")
    except MessageError:
        return
    assert Uri.parse(str(uri)) == uri


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=12))
def test_any_user_can_be_escaped(user: str) -> None:
    if any("\ud800" <= character <= "\udfff" for character in user):
        return
    uri = Uri.parse(f"sip:{escape_user(user)}@voip.test")
    assert uri.username == user


def test_escapes_of_no_utf_8_survive() -> None:
    assert escape_user(unescape("%ff%00")) == "%FF%00"


def test_an_address_of_record_has_no_parameters_and_no_escapes() -> None:
    """RFC 3261 10.3 step 5; RFC 4475 3.1.1.4: an escaped NUL is a character like another."""
    uri = Uri.parse("sip:%61nn:pw@VOIP.test;transport=tcp?a=b")
    assert uri.address_of_record == "sip:ann@voip.test"
    assert Uri.parse("sip:null-%00-null@example.com").username == "null-\0-null"


def test_parameters_are_set_and_removed() -> None:
    uri = Uri.parse("sip:voip.test;lr")
    assert str(uri.with_param("transport", "tcp")) == "sip:voip.test;lr;transport=tcp"
    assert str(uri.without_param("lr")) == "sip:voip.test"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # the pairs of RFC 3261 section 19.1.4
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
        ("tel:+1", "TEL:+1"),
    ],
)
def test_uris_that_mean_the_same(one: str, other: str) -> None:
    assert Uri.parse(one).same_as(Uri.parse(other))
    assert Uri.parse(other).same_as(Uri.parse(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ("sip:a@h", "sips:a@h"),
        ("sip:a@h", "tel:a"),
    ],
)
def test_uris_that_do_not_mean_the_same(one: str, other: str) -> None:
    assert not Uri.parse(one).same_as(Uri.parse(other))
    assert not Uri.parse(other).same_as(Uri.parse(one))


def test_a_long_uri_is_read_without_being_kept() -> None:
    text = f"sip:{'a' * CACHED_LENGTH}@voip.test"
    assert Uri.parse(text) is not Uri.parse(text)
    assert Uri.parse("sip:voip.test") is Uri.parse("sip:voip.test")
