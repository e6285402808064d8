"""The load: one process, two sockets, a steady number of things under way at once.

It never sleeps while it waits for an answer. Over the loopback interface the sender pays for waking the receiver, four
times what sending costs else; a process that answers late would be charged for that, and one that answers at once not.

Nothing is sent again: over the loopback interface a datagram is lost only when somebody is overrun, and then the
figures would be worth nothing. So whatever does not come in time ends the benchmark.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from . import texts
from .proxy import DOMAIN, USERS, Proxy, user

PATIENCE_SECONDS = 3.0
LAST_SECONDS = 0.05  # for what still comes when the last answer is there
LARGEST = 65_535
BUFFER_BYTES = 4 * 2**20


def udp(place: tuple[str, int]) -> socket.socket:
    """A socket with room for a burst."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    bound.settimeout(PATIENCE_SECONDS)
    bound.bind(place)
    return bound


@dataclass(slots=True)
class Traffic:
    """What the process under test received and sent meanwhile."""

    received: int = 0
    sent: int = 0

    @property
    def pairs(self) -> float:
        """As many in and out as the bare datagrams it is compared with: one in and one out each."""
        return (self.received + self.sent) / 2


class Client:
    """One socket that asks. What arrives on other sockets meanwhile goes to whoever minds them."""

    def __init__(self, host: str) -> None:
        self._socket = udp((host, 0))
        self._poll = select.epoll()
        self._poll.register(self._socket.fileno(), select.EPOLLIN)
        self._minders: dict[int, Callable[[], None]] = {}
        self.place: tuple[str, int] = self._socket.getsockname()

    def close(self) -> None:
        """Free the socket."""
        self._poll.close()
        self._socket.close()

    def mind(self, other: socket.socket, minder: Callable[[], None]) -> None:
        """Call `minder` when something arrives on this socket."""
        self._minders[other.fileno()] = minder
        self._poll.register(other.fileno(), select.EPOLLIN)

    def send(self, data: bytes, target: tuple[str, int]) -> None:
        """One datagram."""
        self._socket.sendto(data, target)

    def receive(self) -> bytes:
        """The next datagram for the client itself. Raises SystemExit when none comes."""
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            for descriptor, _ in self._poll.poll(0):
                if descriptor not in self._minders:
                    return self._socket.recv(LARGEST)
                self._minders[descriptor]()
        raise SystemExit(f"nothing came within {PATIENCE_SECONDS} s")

    def wait(self, seconds: float) -> None:
        """Do nothing but mind the other sockets."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            for descriptor, _ in self._poll.poll(left):
                self._minders[descriptor]()

    def exchange(self, target: tuple[str, int], requests: Iterator[bytes], window: int) -> Traffic:
        """Every request has one answer; `window` of them are under way."""
        traffic = Traffic()
        for request in requests:
            if traffic.received - traffic.sent >= window:
                self.receive()
                traffic.sent += 1
            self.send(request, target)
            traffic.received += 1
        while traffic.sent < traffic.received:
            self.receive()
            traffic.sent += 1
        return traffic


class Sip:
    """Phones and a backend around a proxy. The backend answers whenever the client waits, for whatever it waits."""

    def __init__(self, proxy: Proxy, client: Client) -> None:
        self._proxy = proxy
        self._client = client
        self._backend = udp(proxy.backend)
        self._client.mind(self._backend, self._serve)
        self._place = client.place
        self._waiting: dict[str, Call] = {}
        self._serial = 0
        self._sequence = 1
        self._nonce = ""
        self._count = 0
        self.traffic = Traffic()

    def close(self) -> None:
        """Free the backend's socket."""
        self._backend.close()

    def wait(self, seconds: float) -> None:
        """Answer the proxy's probes and ask nothing."""
        self._client.wait(seconds)

    # -- what is asked ------------------------------------------------------------------------------

    def options(self, count: int, window: int) -> Traffic:
        """Requests that the proxy answers by itself."""
        first, self._serial = self._serial, self._serial + count
        requests = (texts.options(self._place, first + number) for number in range(count))
        return self._client.exchange(self._proxy.address, requests, window)

    def register(self) -> None:
        """Every user registers, and every registration reaches the backend."""
        for number in range(USERS):
            name = user(number)
            self._client.send(texts.register(self._place, name, 1, None), self._proxy.address)
            self._nonce = texts.nonce_of(self._client.receive().decode())
            self._client.send(texts.register(self._place, name, 2, self._credentials(name, 1)), self._proxy.address)
            if not (answer := self._client.receive()).startswith(b"SIP/2.0 200"):
                raise SystemExit(f"not registered:\n{answer.decode()}")
        self._sequence = 2
        self._count = 1

    def refresh(self, count: int, window: int) -> Traffic:
        """The users refresh their registrations in turn; credentials reuse a nonce as long as it serves."""
        return self._client.exchange(self._proxy.address, self._refreshes(count), window)

    def _refreshes(self, count: int) -> Iterator[bytes]:
        for number in range(count):
            name = user(number)
            if number % USERS == 0:
                self._sequence += 1
            self._count += 1
            yield texts.register(self._place, name, self._sequence, self._credentials(name, self._count))

    def _credentials(self, name: str, count: int) -> str:
        return texts.digest(self._nonce, "REGISTER", f"sip:{DOMAIN}", name, count)

    # -- calls --------------------------------------------------------------------------------------

    def calls(self, count: int, window: int) -> Traffic:
        """Calls from the first INVITE, which is challenged, to the answer of the BYE."""
        self.traffic = Traffic()
        for _ in range(count):
            while len(self._waiting) >= window:
                self._hear()
            self._begin()
        while self._waiting:
            self._hear()
        self.wait(LAST_SECONDS)
        return self.traffic

    def _begin(self) -> None:
        self._serial += 1
        call = Call(self, self._place, f"call-{self._serial}", user(self._serial))
        self._waiting[call.name] = call
        call.start()

    def send(self, data: bytes) -> None:
        """From a phone to the proxy."""
        self._client.send(data, self._proxy.address)
        self.traffic.received += 1

    def _hear(self) -> None:
        response = self._client.receive().decode()
        self.traffic.sent += 1
        name = response.partition("Call-ID: ")[2].partition("@")[0]
        if self._waiting[name].response(response):
            del self._waiting[name]

    def _serve(self) -> None:
        """The backend: calls are answered at once, and nothing is refused."""
        data, remote = self._backend.recvfrom(LARGEST)
        request = data.decode()
        method = request.partition(" ")[0]
        if method in ("OPTIONS", "REGISTER"):
            contact = request.partition("Contact: ")[2].partition("\r\n")[0]
            answer = texts.answer(request, "200 OK", self._proxy.backend, "registrar")
            if contact:
                own = f"<sip:{self._proxy.backend[0]}:{self._proxy.backend[1]}>"
                answer = answer.replace(own.encode(), f"{contact};expires=3600".encode())
            self._backend.sendto(answer, remote)
            return
        self.traffic.sent += 1
        if method == "INVITE":
            self._answer(request, remote, "180 Ringing", "")
            self._answer(request, remote, "200 OK", texts.sdp(self._proxy.backend, self._serial))
        elif method == "BYE":
            self._answer(request, remote, "200 OK", "")

    def _answer(self, request: str, remote: tuple[str, int], status: str, body: str) -> None:
        answer = texts.answer(request, status, self._proxy.backend, "answered", body)
        self._backend.sendto(answer, remote)
        self.traffic.received += 1


class Call:
    """A caller: answers the challenge, and hangs up as soon as it is answered."""

    __slots__ = ("_invite", "_place", "_sequence", "_sip", "_user", "name")

    def __init__(self, sip: Sip, place: tuple[str, int], name: str, caller: str) -> None:
        self._sip = sip
        self._place = place
        self._user = caller
        self.name = name
        self._sequence = 1
        self._invite = texts.invite(place, name, caller, 1, None)

    def start(self) -> None:
        """Call."""
        self._sip.send(self._invite)

    def response(self, text: str) -> bool:
        """Take a response; True when that was the last one."""
        status = text[8:11]
        if status[0] == "1":
            return False
        if status == "407":
            self._authenticate(text)
        elif status == "200" and " BYE\r\n" in text:
            return True
        elif status == "200":
            self._sip.send(texts.in_dialog("ACK", self._place, text, self._sequence))
            self._sip.send(texts.in_dialog("BYE", self._place, text, self._sequence + 1))
        else:
            raise SystemExit(f"a call failed:\n{text}")
        return False

    def _authenticate(self, challenge: str) -> None:
        self._sip.send(texts.ack_to_failure(self._invite, challenge, self._sequence))
        self._sequence += 1
        uri = f"sip:5{self._user}@{DOMAIN}"
        credentials = texts.digest(texts.nonce_of(challenge), "INVITE", uri, self._user, 1)
        self._invite = texts.invite(self._place, self.name, self._user, self._sequence, credentials)
        self.start()
