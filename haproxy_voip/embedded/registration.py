"""A phone's own registration (RFC 3261 section 10.2)."""

from __future__ import annotations

from haproxy_voip.embedded.facts import By, PhoneRegistered, PhoneUnregistered
from haproxy_voip.embedded.settings import PhoneSettings
from haproxy_voip.embedded.stack import Stack, identity
from haproxy_voip.sip.message import Request, Response, header
from haproxy_voip.sip.transactions import ClientTransaction

MAX_FORWARDS = "70"  # RFC 3261 section 8.1.1.6
REFRESH_SHARE = 0.5  # of the time granted


class Registration:
    """Registers, refreshes, and tries again after a failure until told to stop."""

    def __init__(self, stack: Stack, settings: PhoneSettings) -> None:
        self.registered = False
        self._stack = stack
        self._settings = settings
        self._call_id = stack.chance.token()
        self._from_tag = stack.chance.token()
        self._cseq = 0
        self._wanted = False

    def start(self, now: float) -> None:
        """Register, and stay so."""
        self._wanted = True
        self._send(self._settings.expires, now)

    def stop(self, now: float) -> None:
        """Take it back."""
        self._wanted = False
        self._send(0, now)

    def wake(self, now: float) -> None:
        """Time to refresh, or to try again."""
        self._send(self._settings.expires, now)

    def connection_lost(self, now: float) -> None:
        """Our stream to the server broke: on a new one it must hear of us again (RFC 5626 section 4.4)."""
        if self._wanted:
            self._stack.alarms.set(self, now + self._settings.retry_after)

    def repeated(self, transaction: ClientTransaction) -> None:
        """The REGISTER went out once more, with credentials."""
        self._cseq = transaction.request.cseq.number

    def response(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        """The registrar's answer."""
        if response.status < 200 or response.cseq.number != self._cseq:
            return
        if response.status < 300 and self._wanted:
            granted = self._granted(response)
            if not self.registered:
                self.registered = True
                self._stack.outputs.append(PhoneRegistered(self._settings.user, granted))
            self._stack.alarms.set(self, now + REFRESH_SHARE * granted)
            return
        if self.registered or self._wanted:
            by = By.US if response.status < 300 else By.NETWORK if response.status in (408, 503) else By.THEM
            self._stack.outputs.append(PhoneUnregistered(self._settings.user, response.status, by))
        self.registered = False
        if self._wanted:
            self._stack.alarms.set(self, now + self._settings.retry_after)

    def _granted(self, response: Response) -> float:
        """10.2.4: our contact's `expires`, else the header's."""
        ours = str(self._settings.address)
        for contact in response.contacts:
            value = contact.param("expires")
            if value is not None and value.isdigit() and ours in str(contact.uri):
                return float(value)
        return float(response.expires or self._settings.expires)

    def _send(self, expires: int, now: float) -> None:
        settings, stack = self._settings, self._stack
        stack.alarms.set(self, None)
        flow = stack.flow(settings.server)
        address = identity(settings.user, settings.domain)
        self._cseq += 1
        headers = [
            header("max-forwards", MAX_FORWARDS),
            header("from", f"{address};tag={self._from_tag}"),
            header("to", address),
            header("call-id", self._call_id),
            header("cseq", f"{self._cseq} REGISTER"),
            header("contact", stack.contact(settings.user, flow)),
            header("expires", str(expires)),
        ]
        stack.ask(Request("REGISTER", f"sip:{settings.domain}", headers), flow, self, now)
