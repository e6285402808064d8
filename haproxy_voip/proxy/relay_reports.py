"""What the media relay tells the node: ports that fail, streams that end or fall silent, what passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from haproxy_voip.proxy.backends import Backends, Judgement
from haproxy_voip.proxy.calls import Calls
from haproxy_voip.proxy.events import (
    BackendsSilent,
    MediaFailed,
    MediaLatched,
    MediaPrints,
    MediaRefused,
    MediaReport,
    PortsFree,
    PortsTaken,
)
from haproxy_voip.proxy.facts import MediaCarried, MediaTrouble
from haproxy_voip.proxy.leg import Side
from haproxy_voip.proxy.shared import Output, Shared

Judge = Callable[[list[Judgement], float], list[Output]]


class RelayReports:
    """Reads the relay's events. `judge` carries out what the backends' health says."""

    def __init__(self, shared: Shared, calls: Calls, backends: Backends, judge: Judge) -> None:
        self._shared = shared
        self._calls = calls
        self._backends = backends
        self._judge = judge
        self._inherited: set[int] = set()  # ports that an earlier process's streams still use

    def takers(self) -> dict[type, Callable[[Any, float], list[Output]]]:
        """Who takes which event."""
        return {
            MediaLatched: lambda event, now: [],
            MediaFailed: self._failed,
            MediaReport: self._ended,
            MediaRefused: self._refused,
            MediaPrints: self._prints,
            BackendsSilent: self._silent,
            PortsTaken: self._ports_taken,
            PortsFree: self._ports_free,
        }

    def _failed(self, event: MediaFailed, now: float) -> list[Output]:
        self._calls.cannot_bind(event.stream)
        return [MediaTrouble(event.stream, event.reason)]

    def _ended(self, event: MediaReport, now: float) -> list[Output]:
        self._calls.fingerprints.forget(event.stream)
        client, backend = event.client, event.backend
        heard = (client.packets, client.lost, client.jitter, backend.packets, backend.lost, backend.jitter)
        return [MediaCarried(event.stream, *heard, *self._shared.removed.pop(event.stream, ("", "")))]

    def _prints(self, event: MediaPrints, now: float) -> list[Output]:
        for one in event.prints:
            self._calls.fingerprints.heard(one.stream, one.side, one.payload_hash, one.at)
        if not event.complete:
            self._calls.fingerprints.missed()
        return []

    def _silent(self, event: BackendsSilent, now: float) -> list[Output]:
        """Media stopped: ask each of these backends at once whether it lives."""
        outputs: list[Output] = []
        for backend, (silent, calls) in self._calls.carriers_of(event.streams).items():
            outputs += self._judge(self._backends.media_silent(backend, silent, calls, now), now)
        return outputs

    def _refused(self, event: MediaRefused, now: float) -> list[Output]:
        backend = self._calls.carrier_of(event.stream) if event.side == Side.BACKEND else None
        return [] if backend is None else self._judge(self._backends.media_refused(backend, now), now)

    def _ports_taken(self, event: PortsTaken, now: float) -> list[Output]:
        self._inherited |= self._shared.ports.occupy(frozenset(event.ports))
        return []

    def _ports_free(self, event: PortsFree, now: float) -> list[Output]:
        for port in event.ports:
            if port in self._inherited:
                self._inherited.remove(port)
                self._shared.ports.give_back(port, now)
        return []
