"""How many connections may be open, in all and from one host."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from haproxy_voip.edge.facts import StreamsFull


class Places:
    """Given to accepted connections and taken back. Being full is told once until there was room again."""

    def __init__(self, limit: int, tell: Callable[[StreamsFull], None]) -> None:
        self.resize(limit)
        self.taken = 0
        self._hosts: Counter[str] = Counter()
        self._tell = tell
        self._told = False

    def resize(self, limit: int) -> None:
        """Have so many from now on; who has one keeps it."""
        self.limit = limit
        # One host, be it a hostile one or an office behind NAT, cannot take every place.
        self.limit_of_one_host = max(1, limit // 2)

    def take(self, host: str) -> bool:
        """Whether there is a place for a connection from this host; it is taken then."""
        full = self.taken >= self.limit
        if full or self._hosts[host] >= self.limit_of_one_host:
            if not self._told:
                self._told = True
                self._tell(StreamsFull(self.limit, None) if full else StreamsFull(self.limit_of_one_host, host))
            return False
        self.taken += 1
        self._hosts[host] += 1
        self._told = False
        return True

    def give_back(self, host: str) -> None:
        """A connection from this host ended."""
        self.taken -= 1
        self._hosts[host] -= 1
        if not self._hosts[host]:
            del self._hosts[host]
