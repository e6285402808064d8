"""RFC 4475 in the parser: each message is accepted, or refused with the status it deserves."""

import pytest

from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.framing import StreamFramer
from haproxy_voip.sip.message import Message, Request, Response, parse, response_to
from haproxy_voip.sip.validation import validate
from tests.conformance.rfc4475.verdicts import FOLDER, VERDICTS, Verdict
from tests.conformance.torture import by_name, refusal

every_message = pytest.mark.parametrize("verdict", VERDICTS, ids=by_name)


def read(name: str) -> Request:
    message = parse((FOLDER / f"{name}.dat").read_bytes())
    assert isinstance(message, Request)
    validate(message)
    return message


def test_each_of_the_49_messages_has_its_verdict() -> None:
    assert sorted(verdict.name for verdict in VERDICTS) == sorted(path.stem for path in FOLDER.glob("*.dat"))
    assert len(VERDICTS) == len({verdict.section for verdict in VERDICTS}) == 49


@every_message
def test_the_parser_gives_its_verdict(verdict: Verdict) -> None:
    error = refusal(verdict.data)
    assert (None if error is None else error.status) == verdict.parse_status
    if error is not None:
        assert (error.partial is None) == (verdict.node_status is None)
        if error.partial is not None:
            assert parse(response_to(error.partial, error.status).encode()).has("via")


@every_message
def test_what_is_accepted_goes_out_as_it_came_but_for_folding(verdict: Verdict) -> None:
    try:
        message = parse(verdict.data)
    except MessageError:
        return
    again = parse(message.encode())
    assert [header[:2] for header in again.headers if header[0] != "content-length"] == [
        header[:2] for header in message.headers if header[0] != "content-length"
    ]
    assert (again.start_line, again.body) == (message.start_line, message.body)


@every_message
def test_every_prefix_is_read_or_refused(verdict: Verdict) -> None:
    for end in range(0, len(verdict.data), 1 + len(verdict.data) // 400):
        refusal(verdict.data[:end])


@every_message
def test_a_stream_ends_in_order_or_is_broken(verdict: Verdict) -> None:
    framer = StreamFramer()
    framed = framer.feed(verdict.data)
    assert framed or verdict.name in ("baddn", "clerr")  # these wait for what never comes
    assert framer.broken or all(isinstance(item, Message | MessageError) for item in framed)


def test_a_short_tortuous_invite_says_what_the_rfc_says_it_says() -> None:
    """3.1.1.1."""
    message = read("wsinv")
    assert (message.to.tag, message.from_.tag) == ("1918181833n", "98asjd8")
    assert message.from_.display == 'J Rosenberg \\"'
    assert (message.max_forwards, message.cseq.number, message.cseq.method) == (68, 9, "INVITE")
    assert message.get("subject") == ""
    assert message.get("newfangledheader") == "newfangled value continued newfangled value"
    assert message.get("unknownheaderwithunusualvalue") == ";;,,;;,;"
    assert len(message.values("via")) == 3
    assert message.top_via.branch == "390skdjuw"
    [contact] = message.contacts
    assert contact.display == 'Quoted string ""'
    assert contact.params == (("newparam", "newvalue"), ("secondparam", None), ("q", "0.33"))
    [route] = message.routes
    assert route.uri.loose and route.uri.param("unknownwith") == "value"
    assert message.request_uri.param("unknownparam") == ""


def test_a_wide_range_of_characters_is_kept() -> None:
    """3.1.1.2."""
    message = read("intmeth")
    assert message.method == "!interesting-Method0123456789_*+`.%indeed'~"
    uri = message.request_uri
    assert uri.user == "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"
    assert uri.password == "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"
    assert message.to.display == "BEL:\x07 NUL:\x00 DEL:\x7f"
    assert message.from_.tag == "_token~1'+`*%!-."


def test_escapes_in_uris_mean_what_they_stand_for() -> None:
    """3.1.1.3 to 3.1.1.5."""
    message = read("esc01")
    assert message.request_uri.username == "sips:user@example.com"
    assert message.to.uri.address_of_record == "sip:user@example.com"
    assert [contact.uri.username for contact in read("escnull").contacts] == ["\0", "\0\0"]
    assert len(read("esc02").contacts) == 2


def test_what_follows_a_datagrams_message_is_not_seen() -> None:
    """3.1.1.8."""
    message = read("dblreq")
    assert (message.method, message.body) == ("REGISTER", b"")


def test_parameters_belong_to_the_user_the_header_or_the_uri() -> None:
    """3.1.1.9, 3.3.12 to 3.3.14."""
    assert read("semiuri").request_uri.user == "user;par=u%40example.net"
    [contact] = read("cparam01").contacts
    assert (contact.param("unknownparam"), contact.uri.params) == ("", ())
    [contact] = read("cparam02").contacts
    assert (contact.params, contact.uri.param("unknownparam")) == ((), "")
    [contact] = read("regescrt").contacts
    assert contact.uri.headers == (("Route", "%3Csip:sip.example.com%3E"),)


def test_a_multipart_body_is_whole() -> None:
    """3.1.1.11."""
    message = read("mpart01")
    assert len(message.body) == 553
    assert message.content_type == "multipart/mixed"


def test_uris_of_any_scheme_may_stand_in_headers() -> None:
    """3.3.4: a proxy passes them on."""
    message = parse((FOLDER / "unksm2.dat").read_bytes())
    assert (message.to.uri.scheme, message.from_.uri.scheme, message.contacts[0].uri.scheme) == ("isbn", "http", "name")


def test_reason_phrases_may_be_odd_or_empty() -> None:
    """3.1.1.12, 3.1.1.13."""
    odd, empty = parse((FOLDER / "unreason.dat").read_bytes()), parse((FOLDER / "noreason.dat").read_bytes())
    assert isinstance(odd, Response) and odd.reason.startswith("= 2**3 * 5**2 но сто")
    assert isinstance(empty, Response) and (empty.status, empty.reason) == (100, "")
