"""SIP messages as datagrams: `parse`, `validate`, and every typed value of what they let through.

1. MessageError is all that is raised; its status is one we know, and what it wants answered can be answered.
2. What is read and written again reads the same, and has no line that was not one when it came.
3. After `validate` no value it vouches for raises, and each, written, reads the same.
"""

from __future__ import annotations

from haproxy_voip.core.credential import Credential
from haproxy_voip.sip.digest.client import Challenge
from haproxy_voip.sip.digest.server import Authenticator
from haproxy_voip.sip.errors import REASON_PHRASES, MessageError
from haproxy_voip.sip.headers import NameAddr, RAck, Replaces, SessionExpires, Via
from haproxy_voip.sip.message import MAX_HEAD_BYTES, MAX_HEADERS, Message, Request, parse, response_to
from haproxy_voip.sip.uri import Uri
from haproxy_voip.sip.validation import validate

LARGEST = 65_507  # what UDP can carry
AUTHENTICATOR = Authenticator("voip.test", {"1001": Credential("1001", "voip.test", "secret")}.get, b"key")
TYPED = {"rack": RAck, "replaces": Replaces, "session-expires": SessionExpires, "refer-to": NameAddr}
ADDRESSES = ("p-asserted-identity", "path", "diversion", "referred-by")


def check(data: bytes) -> None:
    data = data[:LARGEST]
    try:
        message = parse(data)
    except MessageError as error:
        return refused(error)
    written = message.encode()
    again = parse(written)
    assert type(again) is type(message) and again.start_line == message.start_line and again.body == message.body
    assert values(again) == values(message) and again.encode() == written
    assert lines_of(written) == 1 + len(again.headers) <= 1 + MAX_HEADERS + 1
    try:
        validate(message)
    except MessageError as error:
        return refused(error)
    vouched_for(message)
    judged_apart(message)
    return None


def values(message: Message) -> list[tuple[str, str]]:
    """All but Content-Length, which is made right."""
    return [(name, value) for name, value, _ in message.headers if name != "content-length"]


def lines_of(written: bytes) -> int:
    """How many lines the next one reads, whatever ends a line for it."""
    head = written.partition(b"\r\n\r\n")[0]
    assert len(head) <= MAX_HEAD_BYTES + 64
    return len(head.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"))


def refused(error: MessageError) -> None:
    """What the node does with it."""
    assert error.status in REASON_PHRASES and 400 <= error.status < 700 and len(error.reason) <= 300
    request = error.partial
    if request is not None:
        assert request.method != "ACK" and request.has("via")
        answer = response_to(request, error.status, to_tag="ours")
        assert lines_of(answer.encode()) == 2 + len(answer.headers)


def vouched_for(message: Message) -> None:
    """What `validate` promises."""
    same(Via.parse, message.top_via)
    for address in (message.from_, message.to):
        same(NameAddr.parse, address)
    assert str(message.cseq) and message.call_id
    if isinstance(message, Request):
        same(Uri.parse, message.request_uri)
        assert message.request_uri.same_as(message.request_uri)
        for address in (*message.contacts, *message.routes, *message.record_routes):
            same(NameAddr.parse, address)
            assert "\r" not in address.uri.address_of_record or "%" in str(address.uri)
        assert message.max_forwards is None or 0 <= message.max_forwards <= 255
        assert message.expires is None or message.expires >= 0
        assert lines_of(response_to(message, 200, to_tag="ours").encode()) <= 2 + len(message.headers)


def judged_apart(message: Message) -> None:
    """What is read later, by whom it concerns: each may be refused by itself."""
    for name, kind in TYPED.items():
        for value in message.all(name):
            try:
                found = kind.parse(value)
            except MessageError:
                continue
            same(kind.parse, found)
    for name in ADDRESSES:
        try:
            for address in message.addresses(name):
                same(NameAddr.parse, address)
        except MessageError:
            continue
    for value in (*message.all("www-authenticate"), *message.all("proxy-authenticate")):
        try:
            Challenge.parse(value)
        except MessageError:
            continue
    if isinstance(message, Request):
        try:
            AUTHENTICATOR.authenticate(message, 1.0)
        except MessageError as error:
            refused(error)


def same(parse_one: object, value: object) -> None:
    """Written, it reads the same."""
    assert callable(parse_one)
    written = str(value)
    assert "\r" not in written and "\n" not in written, written
    again = parse_one(written)
    assert again == value, (value, written, again)
