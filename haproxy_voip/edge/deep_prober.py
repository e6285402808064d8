"""The process that logs in at chat servers and pings them (XEP-0199), with slixmpp.

    python -m haproxy_voip.edge.deep_prober

reads one JSON object a line (`Asked`) and writes one for each, {"backend", "number", "failure"}, when it is done.
`failure` is null or says what did not work. It ends with its input.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import sys
from dataclasses import dataclass, field
from typing import Any

from slixmpp import JID, ClientXMPP
from slixmpp.exceptions import IqError, IqTimeout

# Characters of what a server says that are passed on.
MAX_WORDS = 200
# For a farewell; the next probe does not wait for it.
FAREWELL_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One probe."""

    backend: str
    number: int
    jid: str  # bare: the server chooses a resource, so that no two meet
    password: str = field(repr=False)
    host: str
    port: int
    tls: str  # "direct", or what is done about STARTTLS: "required", "optional", "never"
    verify: bool
    ca: str | None  # PEM file; None: the system's
    name: str  # what the certificate must carry
    timeout: float  # seconds, for all of it


class Probe:
    """One login and ping. `run` gives what did not work, or None."""

    def __init__(self, asked: Asked, context: ssl.SSLContext) -> None:
        self._asked = asked
        self._step = "connecting"
        self._refusal = "nothing it offers can be used"
        self._result: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        client = self._client = ClientXMPP(asked.jid, asked.password, ssl_context=context)
        client.default_domain = asked.name  # what the certificate is checked for
        client.whitespace_keepalive = False
        client.enable_direct_tls = asked.tls == "direct"
        client.enable_starttls = asked.tls in ("required", "optional")
        client.enable_plaintext = asked.tls in ("optional", "never")
        mechanisms = client.plugin["feature_mechanisms"]
        mechanisms.unencrypted_scram = asked.tls != "required"
        mechanisms.unencrypted_plain = asked.tls == "never"
        client.register_plugin("xep_0199")
        for event, step in (("connected", "opening a stream"), ("auth_success", "opening a session")):
            client.add_event_handler(event, lambda _, step=step: self._at(step))
        client.add_event_handler("connection_failed", lambda reason: self._fail(f"no connection: {_words(reason)}"))
        client.add_event_handler("ssl_invalid_chain", lambda error: self._fail(f"certificate: {_words(error)}"))
        client.add_event_handler("failed_auth", self._refused)
        client.add_event_handler("failed_all_auth", lambda _: self._fail(f"login refused: {self._refusal}"))
        client.add_event_handler("stream_error", lambda error: self._fail(f"stream error: {error['condition']}"))
        client.add_event_handler("disconnected", lambda _: self._fail(f"connection ended while {self._step}"))
        client.add_event_handler("session_start", self._ping)

    async def run(self) -> str | None:
        """The result; the connection is closed."""
        client = self._client
        client.connect(self._asked.host, self._asked.port)
        try:
            async with asyncio.timeout(self._asked.timeout):
                return await self._result
        except TimeoutError:
            return f"no answer within {self._asked.timeout:g} s while {self._step}"
        finally:
            client.cancel_connection_attempt()
            await client.disconnect(wait=FAREWELL_SECONDS, ignore_send_queue=True)
            client.abort()

    def _at(self, step: str) -> None:
        self._step = step

    def _fail(self, reason: str) -> None:
        if not self._result.done():
            self._result.set_result(reason)

    def _refused(self, failure: Any) -> None:
        self._refusal = _words(f"{failure['condition']} {failure['text']}")

    async def _ping(self, _: object) -> None:
        self._step = "waiting for the answer to a ping"
        try:
            await self._client.plugin["xep_0199"].ping(JID(self._client.boundjid.domain), timeout=self._asked.timeout)
        except IqTimeout:
            return  # `run` knows
        except IqError as error:
            # Section 4.2: a server that knows no pings answers so, and has answered.
            if error.condition not in ("feature-not-implemented", "service-unavailable"):
                self._fail(f"ping refused: {error.condition}")
                return
        if not self._result.done():
            self._result.set_result(None)


class Prober:
    """All probes under way; one for each backend is replaced by the next."""

    def __init__(self) -> None:
        self._contexts: dict[tuple[bool, str | None], ssl.SSLContext] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, asked: Asked) -> None:
        """Answered on standard output."""
        task = asyncio.get_running_loop().create_task(self._answer(asked))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, asked: Asked) -> None:
        try:
            failure = await Probe(asked, self._context(asked)).run()
        except OSError as error:  # a file of authorities that is gone
            failure = _words(error)
        answer = {"backend": asked.backend, "number": asked.number, "failure": failure}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()

    def _context(self, asked: Asked) -> ssl.SSLContext:
        """One for all that are alike: each takes 40 ms and a megabyte."""
        known = self._contexts.get((asked.verify, asked.ca))
        if known is None:
            known = self._contexts[asked.verify, asked.ca] = ssl.create_default_context(cafile=asked.ca)
            known.minimum_version = ssl.TLSVersion.TLSv1_2
            if not asked.verify:
                known.check_hostname, known.verify_mode = False, ssl.CERT_NONE
        return known


async def serve() -> None:
    """Until the input ends."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    prober = Prober()
    while line := await reader.readline():
        prober.begin(Asked(**json.loads(line)))
    transport.close()


def _words(said: object) -> str:
    """On one line, and not too many."""
    return " ".join(str(said).split())[:MAX_WORDS]


if __name__ == "__main__":
    # What slixmpp logs of a failed login is told by the result.
    logging.getLogger("slixmpp").setLevel(logging.CRITICAL + 1)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL + 1)
    asyncio.run(serve())
