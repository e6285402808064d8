"""haproxy_voip.sip.registration: what a REGISTER asks for."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haproxy_voip.core.address import Address, Flow, Transport
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Request, header
from haproxy_voip.sip.registration import MAX_KEPT, Registration, RegistrationRules, read_registration

FLOW = Flow(Transport.UDP, Address("198.51.100.1", 5060), Address("192.0.2.7", 5060))
RULES = RegistrationRules(min_expires=60, max_expires=7200, default_expires=1800, max_contacts=3)


def read(*contacts: str, expires: str | None = None, path: tuple[str, ...] = (), **changes: str) -> Registration:
    named = {"to": "<sip:al%69ce@VOIP.test;x=y>", "from": "<sip:alice@voip.test>;tag=1", "call-id": "c"}
    headers = [header(name, value) for name, value in (named | {"cseq": "7 REGISTER"} | changes).items()]
    headers += [header("contact", contact) for contact in contacts] + [header("path", value) for value in path]
    if expires is not None:
        headers.append(header("expires", expires))
    return read_registration(Request("REGISTER", "sip:voip.test", headers), FLOW, RULES)


def status(*contacts: str, **changes: str) -> int:
    with pytest.raises(MessageError) as caught:
        read(*contacts, **changes)  # type: ignore[arg-type]
    return caught.value.status


def test_the_address_of_record_has_no_parameters_and_no_escapes() -> None:
    """RFC 3261 section 10.3 step 5."""
    registration = read()
    assert registration.aor == "sip:alice@voip.test"
    assert (registration.call_id, registration.cseq, registration.flow) == ("c", 7, FLOW)
    assert registration.contacts == [] and not registration.remove_all


def test_the_contacts_own_expiry_goes_before_the_header() -> None:
    first, second = read("<sip:a@h>;expires=100, <sip:b@h>", expires="200").contacts
    assert (first.uri, first.expires, first.parameters) == ("sip:a@h", 100, "")
    assert (second.uri, second.expires) == ("sip:b@h", 200)


@pytest.mark.parametrize(
    ("contact", "expires", "granted"),
    [
        ("<sip:a@h>", None, 1800),
        ("<sip:a@h>;expires=x", "100", 1800),
        ("<sip:a@h>;expires=99999999999999", None, 1800),
        ("<sip:a@h>", "soon", 1800),
        ("<sip:a@h>;expires=4294967295", None, 7200),
        ("<sip:a@h>;expires=0", "600", 0),
        ("<sip:a@h>;expires=60", None, 60),
    ],
)
def test_what_is_granted(contact: str, expires: str | None, granted: int) -> None:
    assert read(contact, expires=expires).contacts[0].expires == granted


def test_too_brief_an_interval_is_told_the_least() -> None:
    with pytest.raises(MessageError) as caught:
        read("<sip:a@h>;expires=59")
    assert caught.value.status == 423
    assert [line[2] for line in caught.value.headers] == ["Min-Expires: 60"]


def test_an_hour_is_never_too_brief() -> None:
    """RFC 3261 section 10.3 step 7."""
    strict = RegistrationRules(min_expires=7000, max_expires=9000)
    request = Request("REGISTER", "sip:h", [header("contact", "<sip:a@h>;expires=3600"), header("call-id", "c")])
    request.headers += [header("to", "<sip:a@h>"), header("cseq", "1 REGISTER")]
    assert read_registration(request, FLOW, strict).contacts[0].expires == 3600


def test_star_removes_all_and_must_stand_alone_with_expires_0() -> None:
    assert read("*", expires="0").remove_all
    assert status("*") == status("*", expires="1") == status("*", "<sip:a@h>", expires="0") == 400
    assert status("*", expires="x") == 400


def test_instance_and_reg_id_belong_together() -> None:
    (contact,) = read('<sip:a@h;ob>;reg-id=2;+sip.instance="<urn:uuid:1>";expires=90').contacts
    assert contact.outbound == ("<urn:uuid:1>", 2)
    assert contact.parameters == ';reg-id=2;+sip.instance="<urn:uuid:1>"'
    assert read("<sip:a@h>;reg-id=2").contacts[0].outbound is None
    assert read('<sip:a@h>;+sip.instance="<urn:uuid:1>"').contacts[0].outbound is None


def test_a_reg_id_must_be_a_number_and_stand_alone() -> None:
    instance = ';+sip.instance="<urn:uuid:1>"'
    assert status(f"<sip:a@h>;reg-id=0{instance}") == status(f"<sip:a@h>;reg-id=x{instance}") == 400
    assert status(f"<sip:a@h>;reg-id=1{instance}", "<sip:b@h>") == 400
    assert len(read(f"<sip:a@h>;reg-id=1{instance}", "<sip:b@h>;expires=0").contacts) == 2


def test_path_is_kept_in_order() -> None:
    """RFC 3327 section 5.3."""
    assert read("<sip:a@h>", path=("<sip:p1;lr>, <sip:p2;lr>", "<sip:p3;lr>")).path == (
        "<sip:p1;lr>",
        "<sip:p2;lr>",
        "<sip:p3;lr>",
    )


def test_what_cannot_be_kept_or_called_is_refused() -> None:
    assert status(*[f"<sip:{n}@h>" for n in range(4)]) == 403
    assert status("<mailto:a@h>") == 416
    assert status(f"<sip:{'a' * MAX_KEPT}@h>") == 400
    assert status("<sip:a@h>", **{"call-id": "c" * MAX_KEPT}) == 400
    assert status("not an address") == 400


SAMPLE = '"A, B" <sip:a@h;transport=tcp>;q=0.5;expires=90;+sip.instance="<urn:uuid:1>";reg-id=1, <sip:b@h>;expires=0'


def test_every_prefix_is_read_or_refused() -> None:
    for end in range(1, len(SAMPLE)):
        try:
            read(SAMPLE[:end])
        except MessageError:
            continue


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet='<>sip:@h;expires=0,*"+.reg-id1 ', min_size=1, max_size=40))
def test_noise_is_read_or_refused(noise: str) -> None:
    try:
        read(noise.strip() or "x", expires="0")
    except MessageError:
        return
