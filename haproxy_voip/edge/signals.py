"""What the operating system asks of the process."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

STOPPING = (signal.SIGTERM, signal.SIGINT)


class Signals:
    """SIGTERM and SIGINT ask for an orderly end; one of them once more ends the process. SIGHUP asks to reload."""

    def __init__(self, stop: Callable[[str], None], reload: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = stop
        for number in STOPPING:
            self._loop.add_signal_handler(number, self._asked_to_stop, number)
        self._loop.add_signal_handler(signal.SIGHUP, reload)

    def close(self) -> None:
        """Give the signals back."""
        for number in (*STOPPING, signal.SIGHUP):
            self._loop.remove_signal_handler(number)

    def _asked_to_stop(self, number: signal.Signals) -> None:
        # An operator who asks twice does not want to wait for the orderly end.
        for each in STOPPING:
            self._loop.remove_signal_handler(each)
            signal.signal(each, _end)
        self._stop(number.name)


def _end(number: int, frame: object) -> None:
    """End as the signal alone would have it; a container's first process ignores what it does not handle."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)
