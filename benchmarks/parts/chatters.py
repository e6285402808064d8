"""Many chat clients that log in and are there: as few lines and as little time for each as can be."""

from __future__ import annotations

import asyncio
import base64
import ssl
import threading
from types import TracebackType
from typing import NamedTuple

from tests.interop.chat_servers import DOMAIN, XMPP_PORT
from tests.interop.servers import password

HEADER = (
    f"<?xml version='1.0'?><stream:stream to='{DOMAIN}' version='1.0' xmlns='jabber:client' "
    "xmlns:stream='http://etherx.jabber.org/streams'>"
)
STARTTLS = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
AUTH = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{}</auth>"
BIND = "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>idle</resource></bind></iq>"
CARBONS = "<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>"
LOGIN_SECONDS = 60.0  # one login, with all its attempts
AGAIN_SECONDS = 1.0  # a client that is told to come later, or is cut off, does so after this
END_SECONDS = 30.0


class Connection(NamedTuple):
    """One, on which all is to be done by the deadline (the loop's time)."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    deadline: float


class Refused(Exception):
    """Not logged in; the text is what was asked, and what the other side said."""


class Chatters:
    """They live in a thread of their own. A context manager."""

    def __init__(self, address: str) -> None:
        self.lost = 0  # disconnected by the other side
        self.again: list[str] = []  # what was said to attempts that had to be repeated
        self._address = address
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._readers: list[asyncio.Task[None]] = []
        self._writers: list[asyncio.StreamWriter] = []
        self._tls = ssl.create_default_context()
        self._tls.check_hostname, self._tls.verify_mode = False, ssl.CERT_NONE

    def __enter__(self) -> Chatters:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(END_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def log_in(self, *users: int, available: bool = True) -> None:
        """So many more at once, available or else with carbons. Raises Refused."""
        asyncio.run_coroutine_threadsafe(self._log_in_all(users, available), self._loop).result()

    async def _log_in_all(self, users: tuple[int, ...], available: bool) -> None:
        await asyncio.gather(*(self._log_in(user, "<presence/>" if available else CARBONS) for user in users))

    async def _log_in(self, user: int, first: str) -> None:
        until = self._loop.time() + LOGIN_SECONDS
        while True:
            reader, writer = await asyncio.open_connection(self._address, XMPP_PORT)
            try:
                await self._negotiate(user, Connection(reader, writer, until))
            except (Refused, OSError) as error:
                writer.transport.abort()
                self.again.append(str(error))
                if self._loop.time() + AGAIN_SECONDS > until:
                    raise Refused(f"{user}: {error}") from None
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            writer.write(first.encode())
            self._writers.append(writer)
            self._readers.append(asyncio.create_task(self._read(reader)))
            return

    async def _negotiate(self, user: int, connection: Connection) -> None:
        """From the header to the resource. Raises Refused and OSError."""
        secret, step = base64.b64encode(f"\0{user}\0{password(str(user))}".encode()).decode(), ""

        reader, writer, deadline = connection

        async def say(text: str, until: bytes) -> None:
            writer.write(text.encode())
            nonlocal step
            said, step = b"", text
            while until not in said or not said.endswith(b">"):
                more = await reader.read(65536)
                said += more
                if not more or b"<failure" in said or b"<stream:error" in said:
                    raise Refused(f"{text[:60]} was answered {said.decode()!r}")

        try:
            async with asyncio.timeout_at(deadline):
                await say(HEADER, b"</stream:features>")
                await say(STARTTLS, b"<proceed")
                await writer.start_tls(self._tls)
                await say(HEADER, b"</stream:features>")
                await say(AUTH.format(secret), b"<success")
                await say(HEADER, b"</stream:features>")
                await say(BIND, b"</iq>")
        except TimeoutError:
            raise Refused(f"{step[:60]} was not answered in time") from None

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while await reader.read(65536):
            pass
        self.lost += 1

    async def _end(self) -> None:
        for each in self._readers:
            each.cancel()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._readers, return_exceptions=True)
