"""Histories of a chat cluster, made from a seed: people talk, connections are lost, servers die; then calm, and the
reckoning.

`python -m tests.simulation.chat_storms SEED` replays one history and prints it; `... SEED COUNT` runs several.
"""

from __future__ import annotations

import sys
from collections import Counter
from random import Random

from haproxy_voip.configuration.model import HealthConfig
from haproxy_voip.embedded.chat_link import ChatLink
from haproxy_voip.embedded.chat_server import ChatServer
from tests.simulation.chat_cluster import BACKENDS, DOMAIN, ROOMS, ChatCluster
from tests.simulation.chat_reckoning import Reckoning
from tests.simulation.weather import CALM, STORM, Weather

# Alice has two clients, so that copies matter; erin and frank come and go.
CAROL = "carol/phone"
STEADY = ["alice/phone", "alice/desk", "bob/phone", CAROL]
RESTLESS = ["erin/phone", "frank/phone"]
LOBBY = f"lobby@{ROOMS}"
PING = "<ping xmlns='urn:xmpp:ping'/>"
TROUBLE_SECONDS = 10.0
# Longer than a client that is away may stay so, and than what is remembered to be sent again.
CALM_SECONDS = 16.0
RESUME_SECONDS = 6.0
# How long a steady client's connection may be gone, in all.
AWAY_AT_MOST = 3.0
MESSAGES_PER_SECOND = 12.0
# Servers elsewhere: a probe takes two round trips, as it makes a connection of its own.
FAR = Weather(delay=(0.002, 0.030))
FAR_HEALTH = HealthConfig(inter=0.4, timeout=0.3, fastinter=0.1)
PROBE_INTERVALS = (0.1, 0.4)
FAULTS = ("kill", "freeze", "cut", "terminate")
COMMANDS = ("switch", "drain", "maint")
# The share of the last two that are a reload instead, which removes the server, and later adds it somewhere else.
RELOADED = 0.4


class ChatStorm:
    """One history."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(seed * 7919 + 2)
        self.rough = self.random.random() < 0.4  # clients' networks are slow
        self.single = self.random.random() < 0.6  # never more than one backend in trouble
        # Carol's client does not speak XEP-0198, and never loses its connection.
        self.plain = self.random.random() < 0.2
        self.shared_store = self.random.random() < 0.5
        standby = self.random.choice(["hot", "hot", "warm", "cold"])
        if standby == "hot" and seed % 2:
            standby = "available"
        far = self.random.random() < 0.3  # the servers are not next to the proxy
        self.cluster = ChatCluster(
            seed,
            standby=standby,
            secure=self.random.random() < 0.3,
            shared_store=self.shared_store,
            servers=FAR if far else CALM,
            resume=RESUME_SECONDS,
            health=FAR_HEALTH if far else HealthConfig(inter=self.random.choice(PROBE_INTERVALS)),
        )
        self.world = self.cluster.world
        self.story: list[str] = []
        self.world.readers.append(lambda at, who, fact: self.tell(f"{who}: {fact}"))
        self.reckoning = Reckoning(self.cluster, STEADY)
        self.troubled: dict[str, str] = {}
        self.reloads = Random(seed * 7919 + 5)  # apart, so that the histories without are what they were
        self.cut: dict[str, None] = {}  # clients whose connection was lost a moment ago
        self.outcomes: Counter[str] = Counter()
        self.tell(f"standby {standby}, rough {self.rough}, single {self.single}, secure {self.cluster.secure}")
        self.tell(f"plain {self.plain}, far {far}")

    def tell(self, line: str) -> None:
        """A line of the history."""
        self.story.append(f"{self.world.now:10.4f} {line}")

    def run(self) -> None:
        """Trouble, then calm, then the reckoning."""
        self._start()
        self.world.weather = STORM if self.rough else CALM
        end = self.world.now + TROUBLE_SECONDS
        self._plan(MESSAGES_PER_SECOND, end, self._talk)
        self._plan(0.6, end, self._lose)
        self._plan(0.4, end, self._come_or_go)
        self._plan_faults(end)
        self.world.run(TROUBLE_SECONDS)
        self._calm_down()
        self._leave_all()

    def _start(self) -> None:
        for name in (*STEADY, *RESTLESS):
            retry_after = self.random.choice([0.2, 2.0, 2 * RESUME_SECONDS]) if name in RESTLESS else 0.2
            management = not (self.plain and name == CAROL)
            self.cluster.client(*name.split("/"), retry_after=retry_after, management=management)
            self.world.run(self.random.choice([0.0, 0.05]))
        clients = self.cluster.clients
        self.world.run_until(lambda: all(client.online for client in clients.values()), 10.0)
        self.world.run(0.3)
        for name in STEADY:
            self.cluster.act(name, "enter", LOBBY, name.replace("/", "-"))
            self.world.run(0.1)
        self.reckoning.strict = True
        self.world.run(0.5)

    # -- what happens --------------------------------------------------------------------------------

    def _plan(self, per_second: float, end: float, action: object) -> None:
        at = self.world.now
        while (at := at + self.random.expovariate(per_second)) < end:
            self.world.at(at, action)  # type: ignore[arg-type]

    def _talk(self) -> None:
        """A few words, from one to another or to all."""
        speaker = self.random.choice((*STEADY, *RESTLESS))
        if self.random.random() < 0.1:
            self._ask(speaker)
            return
        if speaker in STEADY and self.random.random() < 0.3:
            to, kind, expected = LOBBY, "groupchat", STEADY
        else:
            to, expected = self._somebody(speaker)
            kind = "chat"
        for _ in range(self.random.choice([1, 1, 3])):
            id = self.reckoning.says(speaker, to, expected=list(expected) if speaker in STEADY else [])
            self.tell(f"{speaker} says {id} to {to}")
            self.cluster.act(speaker, "say", to, f"text of {id}", kind=kind, id=id)

    def _ask(self, asker: str) -> None:
        """Whether somebody, or the server, is there."""
        user, _, resource = self.random.choice([name for name in STEADY if name != asker]).partition("/")
        to = self.random.choice([f"{user}@{DOMAIN}/{resource}", DOMAIN])
        id = self.reckoning.asks(asker)
        self.tell(f"{asker} asks {id} of {to}")
        self.cluster.act(asker, "ask", to, PING, id=id)

    def _somebody(self, speaker: str) -> tuple[str, list[str]]:
        """An address, and which clients hear what is sent to it: copies go to all clients of both."""
        user = speaker.partition("/")[0]
        other = self.random.choice([name for name in (*STEADY, *RESTLESS) if not name.startswith(f"{user}/")])
        its_user, _, resource = other.partition("/")
        bare = f"{its_user}@{DOMAIN}"
        to = bare if self.random.random() < 0.5 else f"{bare}/{resource}"
        mine = [name for name in STEADY if name.startswith(f"{user}/") and name != speaker]
        # Whoever comes and goes hears what was kept for them, as far as the server that kept it is not another one.
        theirs = [*STEADY, *(RESTLESS if self.shared_store else [])]
        return to, [*(name for name in theirs if name.startswith(f"{its_user}/")), *mine]

    def _lose(self) -> None:
        """A client's connection is lost."""
        name = self.random.choice((*STEADY, *RESTLESS))
        if name in self.cut or not self.cluster.clients[name].online or (self.plain and name == CAROL):
            return
        noticed, late = self.random.uniform(0.0, 0.5), self.random.choice([0.0, 0.3, AWAY_AT_MOST])
        self.tell(f"{name} loses its connection; the proxy notices after {late} s")
        self.cut[name] = None
        self.cluster.cut(name, client_notices=noticed, proxy_notices=late)
        self.world.after(AWAY_AT_MOST, lambda: self.cut.pop(name, None))

    def _come_or_go(self) -> None:
        name = self.random.choice(RESTLESS)
        client = self.cluster.clients[name]
        if client.online and self.random.random() < 0.4:
            inside = LOBBY in client.rooms
            self.tell(f"{name} {'leaves' if inside else 'enters'} the lobby")
            arguments = (LOBBY,) if inside else (LOBBY, name.replace("/", "-"))
            self.cluster.act(name, "exit" if inside else "enter", *arguments)
            return
        self.tell(f"{name} {'leaves' if client.online else 'comes'}")
        self.cluster.act(name, "leave" if client.online else "connect")

    # -- faults --------------------------------------------------------------------------------------

    def _plan_faults(self, end: float) -> None:
        at = self.world.now
        while (at := at + self.random.uniform(0.3, 3.0)) < end - 2.0:
            kind = self.random.choice([*FAULTS, "kill", *COMMANDS])
            name = self.random.choice([*BACKENDS, "active", "active", "active"])
            lasts = self.random.choice([self.random.uniform(0.0, 0.1), self.random.uniform(0.2, 4.0)])
            self.world.at(at, lambda k=kind, n=name, s=lasts: self._fault(k, n, s))  # type: ignore[misc]

    def _fault(self, kind: str, name: str, lasts: float) -> None:
        name = (self.cluster.active or "alpha") if name == "active" else name
        if name in self.troubled or (self.single and self.troubled):
            return
        if kind == "switch":
            self._command(kind, name)
            return
        if kind in COMMANDS and self.reloads.random() < RELOADED:
            kind = "reload"
        self.troubled[name] = kind
        self.outcomes[kind] += 1
        self.tell(f"FAULT {kind} {name} for {lasts:.2f} s")
        match kind:
            case "kill":
                self.world.kill(name)
            case "terminate":
                self.cluster.terminate(name)
            case "freeze":
                self.world.freeze(name)
            case "cut":
                self.world.partition("proxy", name)
            case "reload":
                self.cluster.reload(*(one for one in self.cluster.configured if one != name))
            case _:
                self._command(kind, name)
        self.world.after(lasts, lambda: self._mend(kind, name))

    def _mend(self, kind: str, name: str) -> None:
        self.tell(f"MENDED {kind} {name}")
        match kind:
            case "kill" | "terminate":
                self.cluster.start_backend(name)
            case "freeze":
                self.world.thaw(name)
            case "cut":
                self.world.heal("proxy", name)
            case "reload":
                names = [*self.cluster.configured, name]
                self.reloads.shuffle(names)
                self.cluster.reload(*names)
            case _:
                self._command("ready", name)
        # Trusted again only after `rise` answered probes; until then it counts as troubled.
        self.world.after(1.5, lambda: self.troubled.pop(name, None))

    def _command(self, command: str, name: str) -> None:
        """The operator's."""
        self.tell(f"COMMAND {command} {name}")
        answer = self.cluster.proxy.command(command, name=name)
        self.outcomes[command] += "error" not in answer

    # -- the end -------------------------------------------------------------------------------------

    def _calm_down(self) -> None:
        self.world.run(4.0)  # the last faults are mended by now
        self.world.weather = CALM
        for name in RESTLESS:
            if not self.cluster.clients[name].online:
                self.cluster.act(name, "connect")
        self.world.run(CALM_SECONDS)
        # What a server had for a session that it took for alive is kept once that has run out, and told at a login.
        for name in RESTLESS:
            self.cluster.act(name, "leave")
        self.world.run(1.0)
        for name in RESTLESS:
            self.cluster.act(name, "connect")
        self.world.run(8.0)
        occupants = [*STEADY, *(name for name in RESTLESS if LOBBY in self.cluster.clients[name].rooms)]
        for name in (*STEADY, *RESTLESS):
            assert self.cluster.clients[name].online, f"{name} is not online though all is well"
        self.reckoning.check()
        self.reckoning.check_views({LOBBY: occupants})
        self.outcomes["messages"] += len(self.reckoning.said)
        self.outcomes["refused"] += self.reckoning.refused.total()

    def _leave_all(self) -> None:
        """Everybody logs out, and nothing is left of anybody."""
        self.reckoning.strict = False
        for name in (*STEADY, *RESTLESS):
            self.cluster.act(name, "leave")
        self.world.run(2.0)
        shared = self.cluster.chat.shared
        left = {
            "sessions": list(shared.sessions.all),
            "legs": list(shared.legs),
            "waiting": list(shared.waiting_for),
            "streams": self.cluster.proxy.streams,
        }
        assert not any(left.values()), f"left behind: {left}"
        for name in BACKENDS:
            server = self.cluster.server(name)
            rooms, links = list(server.rooms.by_address), [link.flow for link in _used(server)]
            assert not rooms and not links, f"left at {name}: {rooms} {links}"


def _used(server: ChatServer) -> list[ChatLink]:
    """Those of the server's connections that carry a session: the others are probes and the canary."""
    return [link for link in server.links.values() if link.session is not None]


def run(seed: int) -> Counter[str]:
    """One history. AssertionError names the seed and how to see it again."""
    storm = ChatStorm(seed)
    try:
        storm.run()
    except AssertionError as error:
        raise AssertionError(f"{error}\nreplay with: python -m tests.simulation.chat_storms {seed}") from error
    return storm.outcomes


def main() -> None:
    """Replay a seed with its history, or run several."""
    first = int(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    outcomes: Counter[str] = Counter()
    failed = 0
    for seed in range(first, first + count):
        storm = ChatStorm(seed)
        try:
            storm.run()
        except AssertionError as error:
            failed += 1
            if count == 1:
                print(*storm.story, sep="\n")
            print(f"seed {seed}: {error}", flush=True)
        outcomes += storm.outcomes
    print(f"{count} histories from seed {first}: {failed} failed; {dict(outcomes)}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
