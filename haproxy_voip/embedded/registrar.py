"""Where the users of the PBX are (RFC 3261 section 10.3)."""

from __future__ import annotations

from dataclasses import dataclass

from haproxy_voip.core.address import Flow
from haproxy_voip.embedded.facts import PbxRegistered, PbxUnregistered
from haproxy_voip.embedded.settings import PbxSettings
from haproxy_voip.embedded.stack import Stack
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.grammar import parse_number
from haproxy_voip.sip.headers import DELTA_SECONDS_MAX, NameAddr
from haproxy_voip.sip.message import Request, Response, header, response_to
from haproxy_voip.sip.transactions import ServerTransaction


@dataclass(slots=True, eq=False)
class Contact:
    """One place where a user is."""

    home: Registrar
    user: str
    uri: str
    flow: Flow  # by which the REGISTER came
    call_id: str
    cseq: int
    expires_at: float

    def wake(self, now: float) -> None:
        """Its time is over."""
        self.home.forget(self)


class Registrar:
    """All contacts, by user and URI."""

    def __init__(self, stack: Stack, settings: PbxSettings) -> None:
        self._stack = stack
        self._settings = settings
        self._contacts: dict[str, dict[str, Contact]] = {}

    def contacts(self, user: str) -> list[Contact]:
        """Where the user is now, in the order they came."""
        return list(self._contacts.get(user, {}).values())

    def count(self) -> int:
        """Contacts of all users."""
        return sum(len(contacts) for contacts in self._contacts.values())

    def register(self, transaction: ServerTransaction, now: float) -> None:
        """Take a REGISTER whose sender is known. Raises MessageError."""
        request = transaction.request
        user = request.to.uri.username
        if user not in self._settings.users:
            raise MessageError(f"no user {user!r}", 404)
        if any(contact.star for contact in request.contacts):
            if request.expires != 0:
                raise MessageError("Contact: * without Expires: 0")  # 10.2.2
            for known in self.contacts(user):
                self._check_order(known, request)
                self.forget(known)
        else:
            for contact in request.contacts:
                self._bind(user, contact, transaction, now)
        self._stack.answer(transaction, self._listing(transaction, user, now), now)

    def forget(self, contact: Contact) -> None:
        """The contact is gone."""
        contacts = self._contacts[contact.user]
        del contacts[contact.uri]
        if not contacts:
            del self._contacts[contact.user]
        self._stack.alarms.set(contact, None)
        self._stack.outputs.append(PbxUnregistered(contact.user, contact.uri))

    def _bind(self, user: str, address: NameAddr, transaction: ServerTransaction, now: float) -> None:
        request, settings = transaction.request, self._settings
        expires = _expires(address, request, settings.max_expires)
        uri = str(address.uri)
        known = self._contacts.get(user, {}).get(uri)
        if known is not None:
            self._check_order(known, request)
        if expires == 0:
            if known is not None:
                self.forget(known)
            return
        if expires < settings.min_expires:
            raise MessageError(f"{expires} s", 423, (header("min-expires", str(settings.min_expires)),))
        contacts = self._contacts.setdefault(user, {})
        if known is None and len(contacts) >= settings.max_contacts:
            raise MessageError(f"{user} has {len(contacts)} contacts", 403)
        contact = Contact(self, user, uri, transaction.flow, request.call_id, request.cseq.number, now + expires)
        if known is None:
            self._stack.outputs.append(PbxRegistered(user, uri))
        else:
            self._stack.alarms.set(known, None)
        contacts[uri] = contact
        self._stack.alarms.set(contact, contact.expires_at)

    @staticmethod
    def _check_order(known: Contact, request: Request) -> None:
        """10.3 step 7: an older REGISTER of the same Call-ID changes nothing. Raises MessageError."""
        if known.call_id == request.call_id and request.cseq.number <= known.cseq:
            raise MessageError(f"CSeq {request.cseq.number} after {known.cseq}", 500)

    def _listing(self, transaction: ServerTransaction, user: str, now: float) -> Response:
        lines = [
            header("contact", f"<{contact.uri}>;expires={max(0, round(contact.expires_at - now))}")
            for contact in self.contacts(user)
        ]
        return response_to(transaction.request, 200, to_tag=self._stack.chance.token(), headers=lines)


def _expires(address: NameAddr, request: Request, longest: int) -> int:
    """Seconds asked for: the contact's own, else the header's, else all we give; never more than that."""
    own = address.param("expires")
    if own is not None:
        return min(parse_number(own, DELTA_SECONDS_MAX, "expires"), longest)
    return longest if request.expires is None else min(request.expires, longest)
