"""A client that writes bytes and reads bytes: for what no client library would ever say."""

import base64
import re
import socket
import ssl
from types import TracebackType

from tests.interop.chat_servers import DOMAIN, XMPP_PORT
from tests.interop.servers import password

ANSWER_SECONDS = 10.0
CONDITION = re.compile(rb"<failure [^>]*><([a-z-]+)|<([a-z-]+) xmlns=['\"]urn:ietf:params:xml:ns:xmpp-st[a-z]+['\"]")


class Wire:
    """One connection. A context manager. Nothing it reads is more than text to it."""

    def __init__(self, address: str) -> None:
        self._socket: socket.socket = socket.create_connection((address, XMPP_PORT), ANSWER_SECONDS)
        self._socket.settimeout(ANSWER_SECONDS)
        self._read = b""

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._socket.close()

    def send(self, text: str) -> None:
        self._socket.sendall(text.encode())

    def wait(self, pattern: str) -> str:
        """Reads until this has come; returns all up to its end, which is not seen again."""
        while (found := re.search(pattern.encode(), self._read)) is None:
            data = self._socket.recv(65536)
            assert data, f"closed before {pattern!r} came; there was {self._read!r}"
            self._read += data
        text, self._read = self._read[: found.end()], self._read[found.end() :]
        return text.decode()

    def condition(self) -> str:
        """Reads until the other side closes the stream or refuses something; the condition it gave."""
        while (found := CONDITION.search(self._read)) is None:
            data = self._socket.recv(65536)
            assert data, f"closed without a condition; there was {self._read!r}"
            self._read += data
        return (found[1] or found[2]).decode()

    def closes(self) -> bool:
        """Whether the other side ends its stream, and then the connection at the latest when we end ours."""
        while b"</stream:stream>" not in self._read:
            data = self._socket.recv(65536)
            if not data:
                return False
            self._read += data
        self.send("</stream:stream>")
        return True

    # -- steps ------------------------------------------------------------------------------------------

    def header(self, to: str = DOMAIN, namespace: str = "jabber:client", version: str = "1.0") -> None:
        self.send(
            f"<?xml version='1.0'?><stream:stream to='{to}' version='{version}' xmlns='{namespace}' "
            "xmlns:stream='http://etherx.jabber.org/streams'>"
        )

    def open(self) -> str:
        """A stream; returns its features."""
        self.header()
        return self.wait("</stream:features>")

    def encrypt(self) -> str:
        """A stream over TLS; returns its features."""
        self.open()
        self.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        self.wait("<proceed[^>]*>")
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._socket = context.wrap_socket(self._socket)
        return self.open()

    def log_in(self, user: int) -> str:
        """Returns the features after that."""
        self.encrypt()
        self.plain("", str(user), password(str(user)))
        self.wait("<success[^>]*>")
        return self.open()

    def plain(self, authzid: str, authcid: str, secret: str) -> None:
        """RFC 4616; the answer is still to come."""
        message = base64.b64encode(f"{authzid}\0{authcid}\0{secret}".encode()).decode()
        self.send(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{message}</auth>")

    def bind(self, resource: str) -> str:
        """Returns the full address."""
        self.send(
            "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
            f"<resource>{resource}</resource></bind></iq>"
        )
        return re.findall("<jid>(.*?)</jid>", self.wait("</iq>"))[0]
