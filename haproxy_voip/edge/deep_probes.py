"""Deep probes: logins and pings, done by a process of their own (deep_prober.py).

A login hashes a password thousands of times and builds a tree of every stanza, which here would keep media and probes
waiting for milliseconds; and the library leaves cycles, which nobody collects here (commands/serve.py). The process is
started with the first probe and again when it has ended. What it cannot do is not the backend's failure.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

from haproxy_voip.configuration.model import BackendConfig, Config
from haproxy_voip.core.address import Transport
from haproxy_voip.edge.facts import ProberFailed
from haproxy_voip.proxy.effects import ProbeDeeply
from haproxy_voip.proxy.events import DeepProbeDone

COMMAND = (sys.executable, "-m", "haproxy_voip.edge.deep_prober")
# Bytes of a line it says; a server's own words are in it.
MAX_LINE = 8192
# It ends when its input does.
END_SECONDS = 2.0

# What the process is told of one backend, besides the number; see `deep_prober.Asked`.
DeepTarget = Mapping[str, Any]


def deep_targets(config: Config) -> dict[str, DeepTarget]:
    """By backend, for those that have an account."""
    return {one.name: _target(one, config) for one in config.backends if one.chat.probe is not None}


def _target(backend: BackendConfig, config: Config) -> DeepTarget:
    probe, endpoint = backend.chat.probe, backend.xmpp
    assert probe is not None and endpoint is not None
    domain = config.chat_domains[0]
    return {
        "backend": backend.name,
        "jid": f"{probe.user}@{domain}",
        "password": probe.secret.text,
        "host": endpoint.address.host,
        "port": endpoint.address.port,
        "tls": "direct" if endpoint.transport is Transport.TLS else backend.chat.starttls,
        "verify": backend.tls.verify,
        "ca": None if backend.tls.ca is None else str(backend.tls.ca),
        "name": backend.tls.name or domain,
        "timeout": probe.timeout,
    }


class DeepProbes:
    """All deep probes of all backends."""

    def __init__(
        self,
        receive: Callable[[DeepProbeDone], None],
        tell: Callable[[ProberFailed], None],
    ) -> None:
        self._targets: dict[str, DeepTarget] = {}
        self._receive = receive
        self._tell = tell
        self._waiting: list[bytes] = []  # until the process runs
        self._process: asyncio.subprocess.Process | None = None
        self._running: asyncio.Task[None] | None = None

    def aim(self, targets: Mapping[str, DeepTarget]) -> None:
        """Probe these as well; those that leave are probed as before."""
        self._targets |= targets

    def forget(self, backend: str) -> None:
        """It is gone."""
        self._targets.pop(backend, None)

    def send(self, effect: ProbeDeeply) -> None:
        """Carry out the effect."""
        asked = {**self._targets[effect.backend], "number": effect.number}
        line = json.dumps(asked).encode() + b"\n"
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(line)
            return
        self._waiting.append(line)
        if self._running is None or self._running.done():
            self._running = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """End the process."""
        if self._running is not None:
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.close()
            else:
                self._running.cancel()
            await asyncio.wait([self._running], timeout=END_SECONDS)
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _run(self) -> None:
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *COMMAND,
                stdin=pipe,
                stdout=pipe,
                limit=MAX_LINE,
                start_new_session=True,  # Ctrl-C in the terminal is for us, and we end it in order
            )
        except OSError as error:
            self._waiting.clear()
            self._tell(ProberFailed(f"it cannot be started: {error}"))
            return
        self._process = process
        assert process.stdin is not None and process.stdout is not None
        process.stdin.writelines(self._waiting)
        self._waiting.clear()
        try:
            while line := await process.stdout.readline():
                said = json.loads(line)
                self._receive(DeepProbeDone(said["backend"], said["number"], said["failure"]))
        finally:
            self._process = None
            process.stdin.close()
            status = await _ended(process)
        if status > 0:
            self._tell(ProberFailed(f"it ended with status {status}"))


async def _ended(process: asyncio.subprocess.Process) -> int:
    """Its exit status; it is killed if it does not end by itself."""
    try:
        async with asyncio.timeout(END_SECONDS):
            return await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        return await process.wait()
