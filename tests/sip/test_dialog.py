"""RFC 3261 section 12."""

from __future__ import annotations

import pytest

from haproxy_voip.sip.dialog import MAX_ROUTES, Dialog, DialogState
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Request, Response, header, parse, response_to

ROUTES = (
    "Record-Route: <sip:p2.example.com;lr>, <sip:p1.example.com;lr;x=1>\r\nRecord-Route: <sip:p0.example.com;lr>\r\n"
)
CONTACT = "Contact: <sip:alice@192.0.2.9:5070;transport=tcp>\r\n"


def invite(extra: str = CONTACT, tag: str = ";tag=a1", uri: str = "sip:bob@example.com", seq: int = 7) -> Request:
    message = parse(
        (
            f"INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKx\r\n"
            f'From: "Alice" <sip:alice@example.com>{tag}\r\nTo: Bob <sip:bob@example.com>\r\n'
            f"Call-ID: c1\r\nCSeq: {seq} INVITE\r\n{extra}\r\n"
        ).encode()
    )
    assert isinstance(message, Request)
    return message


def answered(
    status: int = 200, tag: str | None = "b1", contact: str = "<sip:bob@198.51.100.7>", **more: str
) -> Response:
    headers = [header(name.replace("_", "-"), value) for name, value in more.items()]
    if contact:
        headers.append(header("contact", contact))
    return response_to(invite(), status, to_tag=tag, headers=headers)


def caller(**more: str) -> Dialog:
    return Dialog.from_response_uac(invite(), answered(**more))


def callee(extra: str = CONTACT) -> Dialog:
    return Dialog.from_request_uas(invite(extra), "us")


def within(method: str, seq: int, contact: str = "") -> Request:
    headers = [header("cseq", f"{seq} {method}")]
    if contact:
        headers.append(header("contact", contact))
    return Request(method, "sip:x@example.com", headers)


# --- making ----------------------------------------------------------------------------------------------------


def test_uas_dialog_takes_its_state_from_the_request() -> None:
    """12.1.1."""
    dialog = callee(ROUTES + CONTACT)
    assert dialog.key == ("c1", "us", "a1")
    assert dialog.remote_target == "sip:alice@192.0.2.9:5070;transport=tcp"
    assert dialog.route_set == ["<sip:p2.example.com;lr>", "<sip:p1.example.com;lr;x=1>", "<sip:p0.example.com;lr>"]
    assert (dialog.local_seq, dialog.remote_seq) == (None, 7)
    assert (dialog.local_uri, dialog.remote_uri) == ("Bob <sip:bob@example.com>", '"Alice" <sip:alice@example.com>')
    assert dialog.state is DialogState.EARLY and not dialog.secure


def test_uac_dialog_takes_its_state_from_request_and_response() -> None:
    """12.1.2: the route set reversed."""
    dialog = caller(record_route="<sip:p2.example.com;lr>, <sip:p1.example.com;lr>")
    assert dialog.key == ("c1", "a1", "b1")
    assert dialog.remote_target == "sip:bob@198.51.100.7"
    assert dialog.route_set == ["<sip:p1.example.com;lr>", "<sip:p2.example.com;lr>"]
    assert (dialog.local_seq, dialog.remote_seq) == (7, None)
    assert (dialog.local_uri, dialog.remote_uri) == ('"Alice" <sip:alice@example.com>', "Bob <sip:bob@example.com>")
    assert dialog.state is DialogState.CONFIRMED


@pytest.mark.parametrize(
    ("came", "uri"),
    [
        ("Bob <sip:bob@example.com>", "Bob <sip:bob@example.com>"),
        ("<sip:bob@example.com>;tag=us", "<sip:bob@example.com>"),
        ("<sip:bob@example.com;tag=us>", "<sip:bob@example.com;tag=us>"),
        ("sip:bob@example.com;tag=us", "<sip:bob@example.com>"),
        ("<sip:bob@example.com> ; tag=us", "<sip:bob@example.com>"),
        ("<sip:bob@example.com>;tag=us;x=1", "<sip:bob@example.com>;x=1"),
        ("<sip:bob@example.com>;x=1;tag=us", "<sip:bob@example.com>;x=1"),
    ],
)
def test_a_uri_of_the_dialog_is_what_came_without_its_tag(came: str, uri: str) -> None:
    request = invite()
    request.set("to", came)
    assert Dialog.from_request_uas(request, "us").local_uri == uri


def test_a_sips_request_makes_a_secure_dialog() -> None:
    """12.1.1."""
    assert Dialog.from_request_uas(invite(uri="sips:bob@example.com"), "us").secure


def test_a_response_without_to_tag_makes_no_dialog() -> None:
    """12.1.2: RFC 2543 peers that answer without a tag are refused."""
    with pytest.raises(MessageError) as caught:
        Dialog.from_response_uac(invite(), answered(tag=None))
    assert caught.value.status == 502


def test_a_caller_without_from_tag_has_the_null_tag() -> None:
    """12.1.1: "the tag is considered to have a value of null"; then none is sent back either."""
    dialog = Dialog.from_request_uas(invite(tag=""), "us")
    assert dialog.key == ("c1", "us", "")
    assert dialog.request("BYE").to.tag is None


@pytest.mark.parametrize("contact", ["", "Contact: <sip:a@b>, <sip:c@d>\r\n", "Contact: nonsense <\r\n"])
def test_a_request_needs_exactly_one_usable_contact(contact: str) -> None:
    """8.1.1.8, 12.1.1."""
    with pytest.raises(MessageError) as caught:
        callee(contact)
    assert caught.value.status == 400


def test_18x_without_contact_leaves_the_target_where_the_invite_went() -> None:
    dialog = Dialog.from_response_uac(invite(), answered(180, contact=""))
    assert dialog.remote_target == "sip:bob@example.com"
    assert dialog.state is DialogState.EARLY


def test_2xx_confirms_and_recomputes_the_route_set_and_target() -> None:
    """13.2.2.4."""
    dialog = Dialog.from_response_uac(invite(), answered(180, contact="", record_route="<sip:old.example.com;lr>"))
    dialog.confirm(answered(200, record_route="<sip:p2.example.com;lr>, <sip:p1.example.com;lr>"))
    assert dialog.state is DialogState.CONFIRMED
    assert dialog.route_set == ["<sip:p1.example.com;lr>", "<sip:p2.example.com;lr>"]
    assert dialog.remote_target == "sip:bob@198.51.100.7"


def test_route_set_of_a_confirmed_dialog_never_changes() -> None:
    """12.2: "the route set ... is not modified" by target refreshes."""
    dialog = caller(record_route="<sip:p1.example.com;lr>")
    dialog.confirm(answered(200, record_route="<sip:elsewhere.example.com;lr>"))
    assert dialog.route_set == ["<sip:p1.example.com;lr>"]


def test_the_callee_confirms_with_its_own_2xx() -> None:
    dialog = callee()
    dialog.confirm()
    assert dialog.state is DialogState.CONFIRMED


def test_forks_make_a_dialog_each() -> None:
    """12: the dialog identifier holds the remote tag."""
    assert caller().key != Dialog.from_response_uac(invite(), answered(tag="b2")).key


def test_record_routes_are_limited_and_must_be_readable() -> None:
    many = ", ".join(["<sip:p.example.com;lr>"] * (MAX_ROUTES + 1))
    for value in (many, "nonsense <"):
        with pytest.raises(MessageError):
            caller(record_route=value)


# --- finding ---------------------------------------------------------------------------------------------------


def test_both_sides_find_the_dialog_by_what_the_other_sends() -> None:
    """12: To and From swap with the direction."""
    ours, theirs = caller(), callee()
    request = ours.request("BYE")
    request.set("call-id", "c1")
    theirs.local_tag = "b1"
    assert Dialog.key_of_request(request) == theirs.key
    assert Dialog.key_of_response(response_to(request, 200)) == ours.key


def test_a_request_without_to_tag_is_in_no_dialog() -> None:
    assert Dialog.key_of_request(invite()) is None


# --- sending ---------------------------------------------------------------------------------------------------


def test_a_request_carries_the_dialog() -> None:
    """12.2.1.1."""
    request = caller().request("INFO", [header("x-a", "1")], b"body")
    assert (request.uri, request.call_id, str(request.cseq)) == ("sip:bob@198.51.100.7", "c1", "8 INFO")
    assert request.get("from") == '"Alice" <sip:alice@example.com>;tag=a1'
    assert request.get("to") == "Bob <sip:bob@example.com>;tag=b1"
    assert (request.max_forwards, request.get("x-a"), request.body) == (70, "1", b"body")
    assert not request.has("via") and not request.has("route")


def test_cseq_grows_by_one_with_every_request_of_ours() -> None:
    """12.2.1.1; a callee's first request begins anywhere."""
    dialog = callee()
    assert [dialog.request("INFO").cseq.number for _ in range(3)] == [1, 2, 3]


def test_loose_routes_stay_in_route_and_the_target_in_the_request_uri() -> None:
    """12.2.1.1."""
    dialog = callee(ROUTES + CONTACT)
    request = dialog.request("BYE")
    assert request.uri == dialog.remote_target
    assert request.all("route") == dialog.route_set
    assert dialog.next_hop == "sip:p2.example.com;lr"


def test_a_strict_router_gets_itself_as_request_uri_and_the_target_last_in_route() -> None:
    """12.2.1.1, and 19.1.1: what a Request-URI may not hold is stripped."""
    strict = "Record-Route: <sip:old.example.com;method=INVITE?a=b>\r\nRecord-Route: <sip:p1.example.com;lr>\r\n"
    request = callee(strict + CONTACT).request("BYE")
    assert request.uri == "sip:old.example.com"
    assert request.all("route") == ["<sip:p1.example.com;lr>", "<sip:alice@192.0.2.9:5070;transport=tcp>"]


def test_without_routes_the_target_is_the_next_hop() -> None:
    assert callee().next_hop == "sip:alice@192.0.2.9:5070;transport=tcp"


def test_ack_repeats_the_invites_number_and_uses_none_of_ours() -> None:
    """13.2.2.4: same CSeq number, the dialog's route; credentials are repeated (22.1)."""
    dialog = caller(record_route="<sip:p1.example.com;lr>")
    dialog.request("INFO")
    ack = dialog.ack(7, [header("authorization", "Digest a=b")])
    assert (str(ack.cseq), ack.uri, ack.get("authorization")) == ("7 ACK", "sip:bob@198.51.100.7", "Digest a=b")
    assert ack.all("route") == ["<sip:p1.example.com;lr>"]
    assert str(dialog.request("BYE").cseq) == "9 BYE"


# --- receiving -------------------------------------------------------------------------------------------------


def test_a_lower_cseq_is_out_of_order() -> None:
    """12.2.2: "MUST reject the request with a 500"."""
    dialog = callee()
    dialog.accepts(within("INFO", 12))
    with pytest.raises(MessageError) as caught:
        dialog.accepts(within("INFO", 11))
    assert caught.value.status == 500
    assert dialog.remote_seq == 12


def test_gaps_in_cseq_are_no_error() -> None:
    """12.2.2: "possible for the CSeq sequence number to be higher than the remote sequence number by more than one"."""
    dialog = callee()
    dialog.accepts(within("INFO", 4711))
    assert dialog.remote_seq == 4711


def test_the_callees_first_request_sets_the_callers_remote_cseq() -> None:
    """12.2.2: "If the remote sequence number is empty, it MUST be set"."""
    dialog = caller()
    dialog.accepts(within("BYE", 1))
    assert dialog.remote_seq == 1


def test_ack_and_cancel_repeat_an_older_number_rightly() -> None:
    """9.1, 13.2.2.4: an INFO may have overtaken the ACK."""
    dialog = callee()
    dialog.accepts(within("INFO", 8))
    dialog.accepts(within("ACK", 7))
    dialog.accepts(within("CANCEL", 7))
    assert dialog.remote_seq == 8


@pytest.mark.parametrize("method", ["INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER"])
def test_target_refresh_requests_and_their_2xx_move_the_target(method: str) -> None:
    """12.2.2, 12.2.1.2, RFC 3311, RFC 6665."""
    dialog = callee()
    dialog.refresh_target(within(method, 8, "<sip:new@192.0.2.10?x=y>"))
    assert dialog.remote_target == "sip:new@192.0.2.10"
    headers = [header("contact", "<sip:newer@192.0.2.11>")]
    dialog.refresh_target(response_to(within(method, 8), 200, headers=headers))
    assert dialog.remote_target == "sip:newer@192.0.2.11"


def test_other_requests_and_failures_move_nothing() -> None:
    dialog = callee()
    before = dialog.remote_target
    dialog.refresh_target(within("INFO", 8, "<sip:new@192.0.2.10>"))
    headers = [header("contact", "<sip:elsewhere@192.0.2.11>")]
    dialog.refresh_target(response_to(within("INVITE", 8), 302, headers=headers))
    dialog.refresh_target(within("UPDATE", 9))
    assert dialog.remote_target == before
