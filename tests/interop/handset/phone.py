"""One user's phone."""

import contextlib
import re
import secrets
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from haproxy_voip.core.address import Address as NetworkAddress
from tests.interop.audio import Address, Ear
from tests.interop.handset.call import ANSWER_SECONDS, Call
from tests.interop.handset.message import CHALLENGES, HandsetError, Message, answer_challenge, parse
from tests.interop.servers import REALM, SIP_PORT, password


@dataclass(slots=True, kw_only=True)
class Handset:
    """One user's phone at one server."""

    user: str
    server: str
    address: str  # its own
    transport: str = "udp"
    server_port: int = SIP_PORT
    trust: Path | None = None  # PEM file, for TLS
    ear: Ear | None = None
    camera: Ear | None = None  # offers and sends pictures as well
    acknowledges: bool = True  # whether a 2xx to its INVITE gets its ACK
    rings: bool = True  # whether a call that comes is answered with 180 at once
    calls: dict[str, Call] = field(default_factory=dict)  # by Call-ID
    local: Address = ("", 0)
    trace: list[str] = field(default_factory=list)
    registered: bool = False
    texts: list[str] = field(default_factory=list)  # MESSAGEs that came
    _socket: socket.socket | None = None
    _thread: threading.Thread | None = None
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _answers: dict[tuple[str, int, str], Message] = field(default_factory=dict)  # final, to requests that wait
    _exclusive: threading.Lock = field(default_factory=threading.Lock)
    _closed: bool = False

    # -- its life ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Binds or connects."""
        if self.transport == "udp":
            self._socket = socket.socket(socket.AF_INET6 if ":" in self.address else socket.AF_INET, socket.SOCK_DGRAM)
            self._socket.bind((self.address, 0))
            self._socket.connect((self.server, self.server_port))
        else:
            stream = socket.create_connection((self.server, self.server_port), ANSWER_SECONDS, (self.address, 0))
            stream.settimeout(None)
            self._socket = stream if self.transport == "tcp" else self._secured(stream)
        self.local = self._socket.getsockname()[:2]
        self._thread = threading.Thread(target=self._read, name=f"handset {self.user}")
        self._thread.start()

    def stop(self) -> None:
        if self._socket is None:
            return
        self._closed = True
        with contextlib.suppress(OSError):  # the other side was faster
            self._socket.shutdown(socket.SHUT_RDWR)
        if self._thread is not None:
            self._thread.join()
        self._socket.close()

    def leave(self) -> None:
        """Unregisters if it is registered, and stops."""
        if self.registered:
            with contextlib.suppress(HandsetError, OSError):
                self.register(expires=0)
        self.stop()

    # -- what a user does -------------------------------------------------------------------------------

    def register(self, expires: int = 300, secret: str | None = None) -> int:
        """The status of the registrar's final answer."""
        call_id, tag = secrets.token_hex(8), secrets.token_hex(4)
        numbers = iter(range(1, 9))
        lines = [f"From: <sip:{self.user}@{REALM}>;tag={tag}", f"To: <sip:{self.user}@{REALM}>", f"Call-ID: {call_id}"]
        lines += [self.contact_line, f"Expires: {expires}"]
        answer = self.ask(
            "REGISTER", f"sip:{REALM}", lambda: [*lines, f"CSeq: {next(numbers)} REGISTER"], secret=secret
        )
        self.registered = answer.status == 200 and expires > 0
        return answer.status

    def call(self, number: str) -> Call:
        """Calls a number and returns at once."""
        target = f"sip:{number}@{REALM}"
        call = Call(
            phone=self,
            number=number,
            call_id=secrets.token_hex(8),
            ours=f"<sip:{self.user}@{REALM}>",
            theirs=f"<{target}>",
            tag=secrets.token_hex(4),
            target=target,
            invited_at=time.monotonic(),
        )
        self.calls[call.call_id] = call
        self.invite(call, [])
        return call

    def wait_call(self, seconds: float = ANSWER_SECONDS) -> Call:
        """The call that comes and is not answered yet."""
        self.wait(lambda: any(call.invite for call in self.calls.values()), seconds, "a call")
        return next(call for call in self.calls.values() if call.invite)

    def message(self, number: str, text: str) -> int:
        """Sends a text (RFC 3428); the final answer's status."""
        target, call_id, tag = f"sip:{number}@{REALM}", secrets.token_hex(8), secrets.token_hex(4)
        numbers = iter(range(1, 9))
        lines = [f"From: <sip:{self.user}@{REALM}>;tag={tag}", f"To: <{target}>", f"Call-ID: {call_id}"]
        lines.append("Content-Type: text/plain")
        return self.ask("MESSAGE", target, lambda: [*lines, f"CSeq: {next(numbers)} MESSAGE"], text).status

    # -- what it is made of -----------------------------------------------------------------------------

    @property
    def contact_line(self) -> str:
        parameter = "" if self.transport == "udp" else f";transport={self.transport}"
        return f"Contact: <sip:{self.user}@{self.place}{parameter}>"

    @property
    def place(self) -> str:
        """Its address and port, as they are written in SIP."""
        return str(NetworkAddress(*self.local))

    def wait(self, happened: Callable[[], bool], seconds: float, what: str) -> None:
        """Until it happened. Raises HandsetError with all messages when it does not in time."""
        with self._changed:
            if not self._changed.wait_for(happened, seconds):
                raise HandsetError(f"{self.user}: no {what} within {seconds} s\n{self.story()}")

    def story(self) -> str:
        return "\n".join(self.trace[-40:])

    def text(self, method: str, uri: str, lines: list[str], body: str, branch: str = "") -> str:
        """A request."""
        via = f"Via: SIP/2.0/{self.transport.upper()} {self.place};rport"
        via += f";branch={branch or 'z9hG4bK' + secrets.token_hex(8)}"
        if body and not any(line.startswith("Content-Type") for line in lines):
            lines = [*lines, "Content-Type: application/sdp"]
        head = [f"{method} {uri} SIP/2.0", via, "Max-Forwards: 70", *lines, f"Content-Length: {len(body)}"]
        return "\r\n".join(head) + "\r\n\r\n" + body

    def send(self, text: str) -> None:
        assert self._socket is not None
        self.trace.append(f"{time.monotonic():.3f} sent\n{text}")
        with self._exclusive:
            self._socket.sendall(text.encode())

    def answer(self, request: Message, status: int, to: str, body: str = "") -> None:
        """A response."""
        lines = [f"SIP/2.0 {status} {'OK' if status == 200 else 'Answer'}"]
        lines += [f"Via: {via}" for via in request.all("via")]
        lines += [f"Record-Route: {route}" for route in request.all("record-route")]
        lines += [f"From: {request.get('from')}", f"To: {to}", f"Call-ID: {request.get('call-id')}"]
        lines += [f"CSeq: {request.get('cseq')}", self.contact_line]
        if body:
            lines.append("Content-Type: application/sdp")
        self.send("\r\n".join([*lines, f"Content-Length: {len(body)}"]) + "\r\n\r\n" + body)

    def ask(
        self, method: str, uri: str, lines: Callable[[], list[str]], body: str = "", secret: str | None = None
    ) -> Message:
        """Sends a request, answering one challenge; returns the final answer."""
        credentials: list[str] = []
        while True:
            text = self.text(method, uri, [*lines(), *credentials], body)
            asked = parse(text)
            key = (asked.get("call-id"), asked.number, method)
            self.send(text)
            self.wait(lambda key=key: key in self._answers, ANSWER_SECONDS, f"answer to {method}")  # type: ignore[misc]
            answer = self._answers.pop(key)
            if method == "INVITE":
                self.calls[answer.get("call-id")].acknowledge(answer)
            if answer.status not in CHALLENGES or credentials:
                return answer
            credentials = [self._credentials(answer, uri, secret)]

    def _credentials(self, challenge: Message, uri: str, secret: str | None = None) -> str:
        header, answer = CHALLENGES[challenge.status]
        secret = password(self.user) if secret is None else secret
        value = answer_challenge(challenge.get(header), challenge.method, uri, self.user, secret)
        return f"{answer}: {value}"

    def invite(self, call: Call, credentials: list[str]) -> None:
        """Sends a call's first INVITE, or its second one with credentials."""
        call.branch = "z9hG4bK" + secrets.token_hex(8)
        lines = [*call.in_dialog("INVITE", credentials), self.contact_line, "Allow: INVITE, ACK, BYE, CANCEL, NOTIFY"]
        call.initial = call.sequence
        self.send(self.text("INVITE", call.target, lines, call.session(), call.branch))

    def _secured(self, stream: socket.socket) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=self.trust)
        return context.wrap_socket(stream, server_hostname=self.server)

    # -- the reading thread -----------------------------------------------------------------------------

    def _read(self) -> None:
        assert self._socket is not None
        data = b""
        while not self._closed:
            try:
                more = self._receive()
            except (ConnectionRefusedError, TimeoutError):
                continue  # ICMP: nobody listens there (any more); or not a whole TLS record yet
            except OSError:
                return
            if not more and self.transport != "udp":
                return
            data = more if self.transport == "udp" else data + more
            data = self._split(data)

    def _receive(self) -> bytes:
        """What came. A TLS connection must not be read and written by two threads at once."""
        assert self._socket is not None
        if not isinstance(self._socket, ssl.SSLSocket):
            return self._socket.recv(65535)
        if not self._socket.pending():
            select.select([self._socket], [], [], ANSWER_SECONDS)
        with self._exclusive:
            self._socket.settimeout(0.001)
            try:
                return self._socket.recv(65535)
            finally:
                self._socket.settimeout(None)

    def _split(self, data: bytes) -> bytes:
        """Takes the whole messages (RFC 3261 section 18.3); returns what is left."""
        while (end := data.find(b"\r\n\r\n")) >= 0:
            if end == 0:
                data = data[4:]  # a keepalive
                continue
            length = re.search(rb"(?im)^(?:content-length|l)\s*:\s*(\d+)", data[:end])
            size = end + 4 + int(length[1] if length else 0)
            if len(data) < size:
                break
            self._take(data[:size].decode(errors="replace"))
            data = data[size:]
        return data if self.transport != "udp" else b""

    def _take(self, text: str) -> None:
        message = parse(text.lstrip("\r\n"))
        with self._changed:
            self.trace.append(f"{message.at:.3f} received\n{text}")
            call = self.calls.get(message.get("call-id"))
            if message.status:
                self._take_response(call, message)
            elif message.method == "INVITE" and not message.tag("to"):
                self._take_invite(message)
            elif message.method == "CANCEL" and call is not None:
                self._take_cancel(call, message)
            elif call is not None:
                call.take_request(message)
            elif message.method != "ACK":
                self._take_other(message)
            self._changed.notify_all()

    def _take_response(self, call: Call | None, response: Message) -> None:
        if call is None or response.method != "INVITE" or response.number > call.initial:
            if response.status >= 200:
                self._answers[(response.get("call-id"), response.number, response.method)] = response
        elif response.status in CHALLENGES and call.initial == 1:
            call.acknowledge(response)
            self.invite(call, [self._credentials(response, call.target)])
        elif response.number == call.initial:
            call.take_response(response)

    def _take_invite(self, invite: Message) -> None:
        caller = re.search(r"sips?:([^@>;]+)@", invite.get("from"))
        call_id = invite.get("call-id")
        if call_id in self.calls:
            return  # sent again
        call = Call(
            phone=self,
            number=caller[1] if caller else "",
            call_id=call_id,
            ours=invite.get("to"),
            theirs=re.sub(r";\s*tag=[^;\s]+", "", invite.get("from")),
            tag=secrets.token_hex(4),
            target="",
            invited_at=invite.at,
        )
        call.their_tag = invite.tag("from")
        call.routes = invite.all("record-route")
        call.invite = invite
        call.learn(invite)
        self.calls[call_id] = call
        if self.rings:
            self.answer(invite, 180, call.tagged())

    def _take_cancel(self, call: Call, cancel: Message) -> None:
        self.answer(cancel, 200, call.tagged())
        if call.invite is not None:
            self.answer(call.invite, 487, call.tagged())
            call.invite, call.status, call.ended_at = None, 487, cancel.at

    def _take_other(self, request: Message) -> None:
        if request.method == "MESSAGE":
            self.texts.append(request.body)
        self.answer(request, 200, f"{request.get('to')};tag={secrets.token_hex(4)}")
