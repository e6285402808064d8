"""What a REGISTER asks for (RFC 3261 section 10.3 steps 5 to 7, RFC 3327, RFC 5626 section 6)."""

from __future__ import annotations

from dataclasses import dataclass, field

from haproxy_voip.core.address import Flow
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.grammar import format_params, parse_number, unquote, without_param
from haproxy_voip.sip.headers import DELTA_SECONDS_MAX, NameAddr
from haproxy_voip.sip.message import Request, header

HOUR = 3600  # 10.3 step 7: a registrar may only call an interval too brief when it is below an hour
REG_ID_MAX = 2**31 - 1  # RFC 5626 section 4.2
# Contact parameters, Call-ID, path and all that is kept of one REGISTER, in characters; usual are 200 to 400.
MAX_KEPT = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationRules:
    """How long and how many bindings may be. Durations are seconds."""

    min_expires: int = 60
    max_expires: int = 3600
    default_expires: int = 3600  # what a REGISTER that names none gets, and one whose value cannot be read
    max_contacts: int = 10  # of one address of record


@dataclass(slots=True)
class ContactUpdate:
    """One Contact of a REGISTER."""

    uri: str
    parameters: str  # of the header, with their semicolons, without expires
    expires: int  # granted seconds; 0 removes
    instance: str | None = None  # +sip.instance without quotes
    reg_id: int | None = None  # only beside an instance
    key: str = ""  # what a binding that is made of it is named; empty: whatever chance says

    @property
    def outbound(self) -> tuple[str, int] | None:
        """What identifies the binding wherever its contact is (RFC 5626 section 6), or None."""
        return None if self.instance is None or self.reg_id is None else (self.instance, self.reg_id)


@dataclass(slots=True)
class Registration:
    """A REGISTER as it is to be applied; without contacts and `remove_all` it only asks."""

    aor: str
    call_id: str
    cseq: int
    flow: Flow  # what it came by
    contacts: list[ContactUpdate] = field(default_factory=list)
    remove_all: bool = False  # Contact: *
    path: tuple[str, ...] = ()  # the values of Path, nearest to us first


def read_registration(request: Request, flow: Flow, rules: RegistrationRules) -> Registration:
    """Read a REGISTER.

    Raises MessageError: 400 when malformed, 403 for too many contacts, 416 for one that is no SIP URI,
    423 with Min-Expires for one that is too brief.
    """
    registration = Registration(
        request.to.uri.address_of_record,
        request.call_id,
        request.cseq.number,
        flow,
        path=tuple(request.values("path")),
    )
    contacts = request.contacts
    if any(contact.star for contact in contacts):
        _require_lone_star(request, contacts)
        registration.remove_all = True
        return registration
    if len(contacts) > rules.max_contacts:
        raise MessageError(f"more than {rules.max_contacts} contacts", status=403)
    registration.contacts = [_read_contact(request, contact, rules) for contact in contacts]
    _require_outbound_alone(registration.contacts)
    _require_short(registration)
    return registration


def _require_lone_star(request: Request, contacts: list[NameAddr]) -> None:
    """10.3 step 6: "If the request has additional Contact fields or an expiration time other than zero, the request
    is invalid, and the server MUST return a 400"."""
    if len(contacts) != 1 or request.expires != 0:
        raise MessageError("Contact: * needs Expires: 0 and no other Contact")


def _read_contact(request: Request, contact: NameAddr, rules: RegistrationRules) -> ContactUpdate:
    if not contact.uri.is_sip:
        raise MessageError(f"a {contact.uri.scheme} contact cannot be called", status=416)
    instance, reg_id = contact.param("+sip.instance"), contact.param("reg-id")
    parameters = format_params(without_param(contact.params, "expires"))
    expires = _granted(_asked(request, contact, rules), rules)
    update = ContactUpdate(str(contact.uri), parameters, expires)
    if instance:
        update.instance = unquote(instance)
        # RFC 5626 section 6: without an instance the registrar ignores reg-id.
        update.reg_id = None if reg_id is None else _read_reg_id(reg_id)
    return update


def _read_reg_id(text: str) -> int:
    number = parse_number(text, REG_ID_MAX, "reg-id")
    if number == 0:
        raise MessageError("reg-id 0")
    return number


def _asked(request: Request, contact: NameAddr, rules: RegistrationRules) -> int:
    """10.2.1.1: the contact's own parameter, else the header. What cannot be read counts as not said."""
    own = contact.param("expires")
    try:
        asked = request.expires if own is None else parse_number(own, DELTA_SECONDS_MAX, "expires")
    except MessageError:
        asked = None
    return rules.default_expires if asked is None else asked


def _granted(asked: int, rules: RegistrationRules) -> int:
    if 0 < asked < min(rules.min_expires, HOUR):
        least = header("min-expires", str(rules.min_expires))
        raise MessageError(f"{asked} s is too brief", status=423, headers=(least,))
    return min(asked, rules.max_expires)


def _require_outbound_alone(contacts: list[ContactUpdate]) -> None:
    """RFC 5626 section 6: 400 when one of several contacts has a reg-id; removals do not count."""
    lasting = [contact for contact in contacts if contact.expires]
    if len(lasting) > 1 and any(contact.outbound for contact in lasting):
        raise MessageError("a reg-id among several contacts")


def _require_short(registration: Registration) -> None:
    shared = len(registration.aor) + len(registration.call_id) + sum(len(value) for value in registration.path)
    longest = max((len(contact.uri) + 2 * len(contact.parameters) for contact in registration.contacts), default=0)
    if shared + longest > MAX_KEPT:
        raise MessageError(f"a binding of more than {MAX_KEPT} characters")
