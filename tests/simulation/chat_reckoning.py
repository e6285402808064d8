"""What clients said, asked, heard and saw in one history, and what must be so of it.

Whoever never logs out is **steady**. What a steady client said is heard exactly once by every steady client it was for,
or it came back as an error; in the order it was said. What it asked is answered once. Nobody ever sees a steady client
leave. Nobody hears anything twice. In the end everybody sees exactly those who are there.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from haproxy_voip.embedded.chat_facts import (
    ClientAcknowledged,
    ClientAnswered,
    ClientHeard,
    ClientLost,
    ClientOffline,
    ClientOnline,
    ClientRefused,
    ClientSaw,
)
from tests.simulation.chat_cluster import DOMAIN, ROOMS, ChatCluster

# Around the loss of a connection nobody knows for so long, in seconds, what had arrived.
DOUBT = 1.0


@dataclass(slots=True)
class Said:
    """One message."""

    id: str
    by: str  # client
    to: str
    at: float
    expected: list[str] = field(default_factory=list)  # clients that must hear it, now or later, copies included


@dataclass(slots=True)
class View:
    """What one client knows in the session it has."""

    session: int = 0
    there: dict[str, None] = field(default_factory=dict)  # full addresses that are available to it
    heard: dict[str, tuple[float, ClientHeard]] = field(default_factory=dict)  # by id: first, in any session
    cut_at: list[float] = field(default_factory=list)  # when its connection was lost
    order: list[str] = field(default_factory=list)  # ids as they were heard


class Reckoning:
    """See the module. Watches a cluster from its beginning."""

    def __init__(self, cluster: ChatCluster, steady: list[str]) -> None:
        self.cluster = cluster
        self.steady = steady
        self.said: dict[str, Said] = {}
        self.order: dict[tuple[str, str], list[str]] = {}  # (client, address said to): ids
        self.views: dict[str, View] = {}
        self.refused: Counter[str] = Counter()
        self.asked: dict[str, str] = {}  # id of each request: who made it
        self.answers: Counter[str] = Counter()
        self.acknowledged: set[str] = set()
        self.in_doubt: set[str] = set()
        self.strict = False  # once set, nobody steady may be seen to leave
        cluster.world.readers.append(self._take)

    def says(self, by: str, to: str, *, expected: list[str]) -> str:
        """A new message's id."""
        id = f"m{len(self.said) + 1}"
        self.said[id] = Said(id, by, to, self.cluster.world.now, expected)
        self.order.setdefault((by, to), []).append(id)
        return id

    def asks(self, by: str) -> str:
        """A new request's id."""
        id = f"q{len(self.asked) + 1}"
        self.asked[id] = by
        return id

    def _take(self, at: float, who: str, fact: Any) -> None:
        view = self.views.setdefault(who, View())
        match fact:
            case ClientOnline():
                view.session += 1
                assert who not in self.steady or view.session == 1, f"{at:.4f} {who} lost its session"
                view.there.clear()
            case ClientLost(_, in_doubt):
                self.in_doubt.update(in_doubt)
            case ClientHeard(_, _, id):
                first_at, first = view.heard.setdefault(id, (at, fact))
                if first is not fact:
                    # Its acknowledgement of the first may have been lost with its connection, and its session too.
                    excused = any(first_at - DOUBT < cut_at < first_at + DOUBT for cut_at in view.cut_at)
                    assert excused and who not in self.steady, f"{at:.4f} {who} heard {id} twice, as {first} and {fact}"
                view.order.append(id)
            case ClientOffline(_, "lost"):
                view.cut_at.append(at)
            case ClientRefused(_, id, _):
                self.refused[id] += 1
            case ClientAnswered(_, id):
                self.answers[id] += 1
                assert id not in self.asked or self.answers[id] == 1, f"{at:.4f} {who} was answered twice: {id}"
            case ClientAcknowledged(_, ids):
                self.acknowledged.update(ids)
            case ClientSaw(_, address, available):
                self._saw(at, who, view, address, available)
            case _:
                pass

    def _saw(self, at: float, who: str, view: View, address: str, available: bool) -> None:
        if available:
            view.there[address] = None
            return
        view.there.pop(address, None)
        if address.endswith(f"{ROOMS}/{who.replace('/', '-')}"):  # it has left, and hears no more of the others
            room = address.partition("/")[0]
            view.there = {one: None for one in view.there if not one.startswith(f"{room}/")}
        assert not (self.strict and self._is_steady(address)), f"{at:.4f} {who} saw {address} leave, who never did"

    def _is_steady(self, address: str) -> bool:
        """Whether that is a steady client, or one in a room: their nicks are their names in the world."""
        bare, _, resource = address.partition("/")
        if bare.endswith(ROOMS):
            return resource.replace("-", "/") in self.steady
        return f"{bare.partition('@')[0]}/{resource}" in self.steady

    # -- in the end ----------------------------------------------------------------------------------

    def check(self) -> None:
        """All is mended and quiet."""
        for message in self.said.values():
            self._check_arrived(message)
        for hearer in self.views:
            self._check_order(hearer)
        for id, by in self.asked.items():
            assert by not in self.steady or self.answers[id] == 1, f"{by} never heard the answer to {id}"
        for name in self.steady:
            assert not self.cluster.clients[name].unacknowledged, f"{name} waits for an acknowledgement"

    def _check_arrived(self, message: Said) -> None:
        for hearer in message.expected:
            heard = message.id in self.views[hearer].heard
            came_back = self.refused[message.id]
            assert heard or came_back, f"{message} was never heard by {hearer}"
            # Its sender's other clients have their copy either way; who was cut off may have heard more than is known.
            conflict = heard and came_back and hearer in self.steady and _user(hearer) != _user(message.by)
            assert not conflict, f"{message} was heard by {hearer} and came back"

    def _check_order(self, hearer: str) -> None:
        place = {id: number for number, id in reversed(list(enumerate(self.views[hearer].order)))}
        for (speaker, to), ids in self.order.items():
            mine = [id for id in ids if id in place]
            in_order = sorted(mine, key=place.__getitem__)
            # What is for somebody who is not there waits, and what is said meanwhile may be faster.
            both = speaker in self.steady and hearer in self.steady
            assert not both or mine == in_order, f"{hearer} heard {speaker} to {to}: {in_order}"

    def check_views(self, occupants: dict[str, list[str]]) -> None:
        """Everybody sees who is there and nobody else; `occupants`: who is in which room."""
        here = {name: client for name, client in self.cluster.clients.items() if client.online}
        for name in here:
            seen = sorted(self.views[name].there)
            expected = [f"{each.replace('/', f'@{DOMAIN}/')}" for each in here]
            for room, inside in occupants.items():
                if name in inside:
                    expected += [f"{room}/{each.replace('/', '-')}" for each in inside]
            assert seen == sorted(expected), f"{name} sees {seen} and not {sorted(expected)}"


def _user(client: str) -> str:
    return client.partition("/")[0]
