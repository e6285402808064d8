"""Whether media are relayed in the kernel or here, decided once; and what an earlier process has left in the kernel.

A process that is killed leaves its flows behind, and they go on. Its successor, known by the same control socket,
knows nothing of those calls, so it looks when a packet last came: a flow that is silent, as is the one back, is
removed, and its ports are free again. Their sockets are gone with the process; what the kernel passes up is lost.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import monotonic

from haproxy_voip.configuration.model import Config
from haproxy_voip.core.address import Address
from haproxy_voip.edge.facts import EdgeFact, MediaInKernel, MediaInUserspace, StreamsInherited
from haproxy_voip.edge.interfaces import arriving
from haproxy_voip.edge.kernel_flow import KernelFlow
from haproxy_voip.edge.kernel_relay import KernelRelay, KernelRelayUnavailable
from haproxy_voip.proxy.events import PortsFree, PortsTaken

# Longer than a pause in a conversation with silence suppression on both sides. A call on hold is over by then too; but
# nobody could resume it, because its dialogs were the dead process's.
OVER_SECONDS = 10.0
CHECK_SECONDS = 1.0
# Of the control socket's path in the names under bpffs, for people; a digest makes it unique.
NAME_CHARACTERS = 24


class CannotRelay(Exception):
    """`media.relay: kernel`, and the kernel cannot be used; the text says why."""


class KernelMedia:
    """The program in the kernel, if there is one, and the flows it had before we came."""

    def __init__(self, kernel: KernelRelay | None, facts: list[EdgeFact]) -> None:
        self.kernel = kernel
        self.facts = facts  # to be told once
        self.serving = False  # the start succeeded
        self._inherited: dict[Address, KernelFlow] = {}
        self._timer: asyncio.TimerHandle | None = None

    def take_over(self, receive: Callable[[PortsTaken | PortsFree], None]) -> None:
        """Tell which ports are in use, now and whenever that changes."""
        if self.kernel is None:
            return
        # Their stream numbers mean nothing here, so nothing may be told by them.
        self._inherited = {flow.local: replace(flow, prints=False) for flow in self.kernel.inherited()}
        for local, flow in list(self._inherited.items()):
            try:
                self.kernel.install(flow)
            except OSError:  # the way there is gone
                self.kernel.remove(local)
                del self._inherited[local]
        self.kernel.prints()
        if self._inherited:
            self.facts.append(StreamsInherited(len(self._inherited)))
            receive(PortsTaken(tuple(sorted(self._ports()))))
            self._check_later(receive)

    @property
    def inherited(self) -> int:
        """How many flows of an earlier process there are."""
        return len(self._inherited)

    async def close(self, stay: bool = False) -> None:
        """Leave nothing in the kernel; `stay`: all of it, for calls that go on there until another process takes over.

        A start that fails shall not cost the calls of an earlier process either.
        """
        if self._timer is not None:
            self._timer.cancel()
        if self.kernel is not None:
            keep = stay or (bool(self._inherited) and not self.serving)
            await asyncio.get_running_loop().run_in_executor(None, self.kernel.close, keep)

    def _check_later(self, receive: Callable[[PortsTaken | PortsFree], None]) -> None:
        self._timer = asyncio.get_running_loop().call_later(CHECK_SECONDS, self._check, receive)

    def _check(self, receive: Callable[[PortsTaken | PortsFree], None]) -> None:
        assert self.kernel is not None
        before, limit = self._ports(), monotonic() - OVER_SECONDS
        speaking = {local for local in self._inherited if self.kernel.last_arrival(local) >= limit}
        for local, flow in list(self._inherited.items()):
            if local not in speaking and flow.out_local not in speaking:
                self.kernel.remove(local)
                del self._inherited[local]
        freed = before - self._ports()
        if freed:
            receive(PortsFree(tuple(sorted(freed))))
        if self._inherited:
            self._check_later(receive)

    def _ports(self) -> set[int]:
        return {port for flow in self._inherited.values() for port in (flow.local.port, flow.out_local.port)}


def open_kernel(config: Config) -> KernelMedia:
    """Blocking. Raises CannotRelay where the configuration demands the kernel."""
    wanted = config.media.relay
    if wanted == "userspace":
        return KernelMedia(None, [])
    listeners = [endpoint.address for endpoint in config.proxy.sip.listen]
    try:
        names = arriving({config.media_listen(listener) for listener in listeners})
        kernel = KernelRelay.open(instance(config.control), names)
    except (KernelRelayUnavailable, OSError) as error:
        if wanted == "kernel":
            raise CannotRelay(f"media.relay is kernel, and that cannot be had: {error}") from None
        return KernelMedia(None, [MediaInUserspace(str(error))])
    return KernelMedia(kernel, [MediaInKernel(tuple(names), kernel.notes)])


def instance(control: Path) -> str:
    """What the program of the proxy with this control socket is called; bpffs allows no dots."""
    path = str(control.absolute())
    digest = hashlib.blake2s(path.encode(), digest_size=4).hexdigest()
    return f"{re.sub('[^A-Za-z0-9]+', '_', path)[-NAME_CHARACTERS:].strip('_')}_{digest}"
