"""Many chat clients that log in and are there: as few lines and as little time for each as can be."""

from __future__ import annotations

import asyncio
import base64
import ssl
import threading
from types import TracebackType

from tests.interop.chat_servers import DOMAIN, XMPP_PORT
from tests.interop.servers import password

HEADER = (
    f"<?xml version='1.0'?><stream:stream to='{DOMAIN}' version='1.0' xmlns='jabber:client' "
    "xmlns:stream='http://etherx.jabber.org/streams'>"
)
STARTTLS = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
AUTH = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{}</auth>"
BIND = "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>idle</resource></bind></iq>"
LOGIN_SECONDS = 30.0


class Chatters:
    """They live in a thread of their own. A context manager."""

    def __init__(self, address: str) -> None:
        self.lost = 0  # disconnected by the other side
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
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(LOGIN_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def log_in(self, *users: int) -> None:
        """So many more at once, available."""
        asyncio.run_coroutine_threadsafe(self._log_in_all(users), self._loop).result(LOGIN_SECONDS)

    async def _log_in_all(self, users: tuple[int, ...]) -> None:
        await asyncio.gather(*(self._log_in(user) for user in users))

    async def _log_in(self, user: int) -> None:
        reader, writer = await asyncio.open_connection(self._address, XMPP_PORT)
        secret = base64.b64encode(f"\0{user}\0{password(str(user))}".encode()).decode()

        async def say(text: str, until: bytes) -> None:
            writer.write(text.encode())
            await reader.readuntil(until)

        await say(HEADER, b"</stream:features>")
        await say(STARTTLS, b"<proceed")
        await reader.readuntil(b">")
        await writer.start_tls(self._tls)
        await say(HEADER, b"</stream:features>")
        await say(AUTH.format(secret), b"<success")
        await say(HEADER, b"</stream:features>")
        await say(BIND, b"</iq>")
        writer.write(b"<presence/>")
        self._writers.append(writer)
        self._readers.append(asyncio.create_task(self._read(reader)))

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
