"""Chats through storms, from a seed: servers are killed, frozen, stopped; connections are lost; words go on.

What must hold in the end, for everything a client was allowed to send: whoever it was for has it exactly once, or the
sender has an error; in order between any two; no client was disconnected by us; nobody saw anybody leave who had not.

    python -m tests.proxy.chat.storm 7
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from random import Random

from tests.proxy.chat.server import DOMAIN
from tests.proxy.chat.stage import NAMES, Client, Stage, config

USERS = ("alice", "bob", "carol", "dave")


@dataclass
class Storm:
    """One history."""

    seed: int
    stage: Stage = field(init=False)
    random: Random = field(init=False)
    clients: dict[str, Client] = field(default_factory=dict)
    boxes: dict[str, list[object]] = field(default_factory=dict)  # every stanza each was ever given
    meant: dict[str, tuple[str, list[str]]] = field(default_factory=dict)  # body: by whom, for whom
    away: set[str] = field(default_factory=set)
    room: str = ""
    count: int = 0
    refused: int = 0  # came back as errors
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        standby = self.random.choice(("hot", "warm", "cold"))
        if standby == "hot" and self.seed % 2:
            standby = "available"
        self.stage = Stage(config(standby), seed=self.seed)
        for name in USERS:
            self.clients[name] = self.stage.client(name)
            self.stage.run(0.2)
        for client in self.clients.values():
            self.room = client.join("lobby")
            self.stage.run(0.2)
        for name, client in self.clients.items():
            client.inbox.clear()
            self.boxes[name] = []

    def play(self, steps: int = 120) -> list[str]:
        """Everything that went wrong."""
        for _ in range(steps):
            self.step()
            self.stage.run(self.random.choice((0.001, 0.005, 0.02, 0.1)))
            self.collect()
        self.calm()
        return self.wrong()

    # -- what happens -------------------------------------------------------------------------------

    def step(self) -> None:
        chance = self.random.random()
        if chance < 0.75:
            self.speak()
        elif chance < 0.79:
            self.harm("kill")
        elif chance < 0.82:
            self.harm("freeze")
        elif chance < 0.85:
            self.harm("terminate")
        elif chance < 0.88:
            self.mute()
        elif chance < 0.94:
            self.heal()
        elif chance < 0.97:
            self.lose()
        else:
            self.come_back()

    def speak(self) -> None:
        name = self.random.choice([one for one in USERS if one not in self.away])
        client = self.clients[name]
        self.count += 1
        body = str(self.count)
        if self.random.random() < 0.3:
            self.meant[body] = (name, list(USERS))
            client.say(self.room, body, kind="groupchat", id=f"m{body}")
        else:
            other = self.random.choice([one for one in USERS if one != name])
            self.meant[body] = (name, [other])
            client.say(self.random.choice((f"{other}@{DOMAIN}", self.clients[other].jid)), body, id=f"m{body}")

    def harm(self, how: str) -> None:
        well = [name for name in NAMES if not self.stage.servers[name].dead and not self.stage.servers[name].frozen]
        if len(well) < 2:
            return
        active = self.stage.chat.shared.backends.pool.active
        name = active if active in well and self.random.random() < 0.8 else self.random.choice(well)
        self.log.append(f"{self.stage.now:.3f} {how} {name}")
        getattr(self.stage, how)(name)

    def mute(self) -> None:
        """What one client's server sends it is lost from now on, and so will be the server."""
        active = self.stage.chat.shared.backends.pool.active
        sessions = list(self.stage.servers[active].sessions.values()) if active else []
        links = [one.link for one in sessions if one.link is not None]
        if links and active is not None and not self.stage.servers[active].dead and len(self.well()) > 1:
            self.random.choice(links).mute = True
            self.speak()
            self.log.append(f"{self.stage.now:.3f} mute and kill {active}")
            self.stage.run(0.003)
            self.stage.kill(active)

    def well(self) -> list[str]:
        return [name for name in NAMES if not self.stage.servers[name].dead and not self.stage.servers[name].frozen]

    def heal(self) -> None:
        for name in NAMES:
            server = self.stage.servers[name]
            if server.frozen and not server.dead:
                self.log.append(f"{self.stage.now:.3f} thaw {name}")
                server.thaw(self.stage.now)
                return
            if server.dead:
                self.log.append(f"{self.stage.now:.3f} revive {name}")
                self.stage.begin_anew(name)
                return

    def lose(self) -> None:
        here = [one for one in USERS if one not in self.away]
        if len(here) > 2:
            name = self.random.choice(here)
            self.log.append(f"{self.stage.now:.3f} {name} loses its connection")
            self.clients[name].break_off()
            self.away.add(name)

    def come_back(self) -> None:
        for name in sorted(self.away):
            self.log.append(f"{self.stage.now:.3f} {name} comes back")
            self.collect()
            before = self.clients[name]
            again = self.stage.come_back(before)
            self.stage.run(0.1)
            if not again.resumed:
                self.log.append(f"{name} could not: {again.failed}")
                again.ended = True
                return
            self.clients[name] = again
            self.away.discard(name)
            return

    def calm(self) -> None:
        for _ in NAMES:
            self.heal()
            self.stage.run(1.0)
        for _ in range(10):
            if not self.away:
                break
            self.come_back()
            self.stage.run(1.0)
        self.stage.run(30.0)
        self.collect()

    def collect(self) -> None:
        for name, client in self.clients.items():
            self.boxes[name] += client.take()

    # -- what must hold -----------------------------------------------------------------------------

    def wrong(self) -> list[str]:
        found = [f"{name} was disconnected: {one.error}" for name, one in self.clients.items() if one.ended]
        found += [f"{name} is still away" for name in sorted(self.away)]
        heard = {name: self.bodies(name) for name in USERS}
        errors = {stanza.id for box in self.boxes.values() for stanza in box if stanza.type == "error"}  # type: ignore[attr-defined]
        for body, (speaker, to) in self.meant.items():
            counts = [heard[name].count(body) for name in to]
            if any(count > 1 for count in counts):
                found.append(f"{body} of {speaker} was heard {counts} times by {to}")
            if any(count < 1 for count in counts) and f"m{body}" not in errors:
                found.append(f"{body} of {speaker} was heard {counts} times by {to}")
            if f"m{body}" in errors:
                self.refused += 1
        for name in USERS:
            for speaker in USERS:
                for private in (True, False):
                    said = [
                        int(one)
                        for one in dict.fromkeys(heard[name])
                        if self.meant[one][0] == speaker and (len(self.meant[one][1]) == 1) is private
                    ]
                    if said != sorted(said):
                        found.append(f"{name} heard {speaker} in disorder: {said}")
            found += [f"{name} saw {one}" for one in self.flaps(name)]
        return found

    def bodies(self, name: str) -> list[str]:
        import re

        found = []
        for stanza in self.boxes[name]:
            body = re.search(rb"<body>(.*?)</body>", stanza.raw)  # type: ignore[attr-defined]
            if body is not None and stanza.type != "error":  # type: ignore[attr-defined]
                found.append(body.group(1).decode())
        return found

    def flaps(self, name: str) -> list[str]:
        return [
            stanza.raw.decode()[:150]  # type: ignore[attr-defined]
            for stanza in self.boxes[name]
            if stanza.name == "presence" and stanza.type == "unavailable"  # type: ignore[attr-defined]
        ]


if __name__ == "__main__":
    for seed in map(int, sys.argv[1:]):
        storm = Storm(seed)
        wrong = storm.play()
        print(seed, wrong, *storm.log, sep="\n  ")
