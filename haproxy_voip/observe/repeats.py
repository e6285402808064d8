"""What a scanner, a broken phone or a mistake of ours would fill the log with: one is told, those after it counted."""

from __future__ import annotations

from dataclasses import dataclass

from haproxy_voip.proxy.facts import AuthenticationFailed, MessageRefused, RegistrationRefused, SessionFailed
from haproxy_voip.proxy.limit_facts import CallLimitReached, SourceBanned

# Seconds for which one line of a kind and source stands for all that follow.
WINDOW = 10.0
# Sources told apart at one time. All others together count as one: addresses of datagrams are easily forged.
MAX_SOURCES = 100
OTHERS = "others"

Key = tuple[type, str]  # kind of fact, source


@dataclass(slots=True)
class Repeated:
    """What followed a fact and was not told one by one."""

    count: int
    source: str
    seconds: float
    last: object  # the newest of them

    def __str__(self) -> str:
        return f"... and {self.count} more like this in the last {self.seconds:.0f} s, the last one: {self.last}"


@dataclass(slots=True)
class Window:
    """What came from one source since one of its facts was told."""

    ends_at: float
    count: int = 0
    last: object = None


class Repeats:
    """Which facts are to be told. Times are seconds on any clock that does not go back."""

    def __init__(self) -> None:
        self._windows: dict[Key, Window] = {}  # in the order in which they end, as all are equally long

    def told(self, fact: object, now: float) -> bool:
        """Whether this fact is to be told, not counted."""
        source = source_of(fact)
        if source is None:
            return True
        key = (type(fact), source)
        if key not in self._windows and len(self._windows) >= MAX_SOURCES:
            key = (type(fact), OTHERS)
        window = self._windows.get(key)
        if window is None:
            self._windows[key] = Window(now + WINDOW)
            return True
        window.count += 1
        window.last = fact
        return False

    def due(self, now: float) -> list[Repeated]:
        """What was counted in windows that have ended: ask before `told`, and every now and then."""
        repeated = []
        while self._windows:
            key, window = next(iter(self._windows.items()))
            if window.ends_at > now:
                break
            del self._windows[key]
            if window.count:
                repeated.append(Repeated(window.count, key[1], WINDOW, window.last))
        return repeated

    def rest(self) -> list[Repeated]:
        """What was counted and not told yet, for the end."""
        return self.due(float("inf"))


def source_of(fact: object) -> str | None:
    """Who makes facts like this one, or None: it comes but rarely, or all of them matter."""
    match fact:
        case AuthenticationFailed(flow=flow) | MessageRefused(flow=flow):
            return flow.remote.host
        case RegistrationRefused(backend=backend):
            return backend
        case CallLimitReached(user=source) | SourceBanned(source=source):
            return source
        case SessionFailed(where=where):
            return where  # one mistake of ours may meet every message
        case _:
            return None
