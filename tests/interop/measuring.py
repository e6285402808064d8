"""How long a failure of the active server is felt: from the moment of it to the success of a new call."""

import signal
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.interop.handset import Handset
from tests.interop.parties import CALLEE, CALLER
from tests.interop.proxy import Proxy
from tests.interop.servers import Server

CALLED = "600"  # answers at once
BACK_SECONDS = 10.0  # for a server to be up again, with its registrations
SETTLED_SECONDS = 0.3  # of quiet before the next failure, so that it meets a probe at any moment of its cycle

Fail = Callable[[Server], None]


def kill(server: Server) -> None:
    """kill -9, without waiting until the kernel has cleared up after it."""
    server.process.signal(signal.SIGKILL)


def freeze(server: Server) -> None:
    """SIGSTOP."""
    server.process.signal(signal.SIGSTOP)


@dataclass(frozen=True, slots=True)
class Round:
    """One failure, in seconds."""

    answered: float  # from the failure to the 200 of a call made right after it
    noticed: float  # of that, as the proxy tells: from the first sign to the judgement
    signal: str


@dataclass(slots=True)
class Measurement:
    """A proxy before several servers, and two idle phones that are registered."""

    proxy: Proxy
    servers: Sequence[Server]

    def run(self, fail: Fail, rounds: int) -> list[Round]:
        """The active server fails, again and again; the one before has come back meanwhile."""
        caller = Handset(user="1001", server=self.proxy.address, address=CALLER)
        idle = Handset(user="1002", server=self.proxy.address, address=CALLEE)
        try:
            for phone in (caller, idle):
                phone.start()
                assert phone.register() == 200
            return [self._round(fail, caller, number / rounds) for number in range(rounds)]
        finally:
            for phone in (caller, idle):
                phone.leave()

    def _round(self, fail: Fail, caller: Handset, phase: float) -> Round:
        self.proxy.wait_registered(2, seconds=BACK_SECONDS)
        time.sleep(SETTLED_SECONDS + phase / 10)  # spread over the 100 ms between two probes
        active = self.proxy.status()["active"]
        server = next(server for server in self.servers if server.name == active)
        failed_at = time.monotonic()
        fail(server)
        call = caller.call(CALLED)
        call.wait_answered()
        record = self.proxy.status()["failovers"][-1]
        assert record["backend"] == active
        call.hang_up()
        if fail is freeze:
            server.thaw()
        else:
            server.stop()
            server.start()
        return Round(call.status_at - failed_at, record["detected_after"], record["signal"])


def table(rows: Sequence[tuple[str, Sequence[Round], float, float]]) -> str:
    """Lines for people: what failed, and its rounds beside the targets for median and worst, seconds."""
    lines = [
        f"{'':10}{'rounds':>7}{'median':>12}{'target':>8}{'worst':>12}{'target':>8}   milliseconds, failure to answer"
    ]
    for name, rounds, median_target, worst_target in rows:
        taken = [one.answered * 1000 for one in rounds]
        lines.append(
            f"{name:10}{len(rounds):7}{statistics.median(taken):12.1f}{median_target * 1000:8.0f}"
            f"{max(taken):12.1f}{worst_target * 1000:8.0f}   {_signals(rounds)}"
        )
    return "\n".join(lines)


def _signals(rounds: Sequence[Round]) -> str:
    names = dict.fromkeys(one.signal for one in rounds)
    return ", ".join(f"{name} {sum(one.signal == name for one in rounds)}x" for name in names)
