"""What people do in a storm: call, hold, resume, transfer, change their session, hang up at the worst moment."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

from haproxy_voip.core.address import Address, Endpoint, Transport
from haproxy_voip.embedded.media import SDP
from haproxy_voip.embedded.phone import Phone
from haproxy_voip.embedded.phone_call import PhoneCall
from haproxy_voip.embedded.settings import PhoneSettings
from haproxy_voip.sip.message import header
from tests.simulation.cluster import BACKENDS, DOMAIN, USERS, Cluster
from tests.simulation.hearing import Hearing
from tests.simulation.opaque import leads_to

# Who answers at each backend, as an echo test or a conference does; numbers that lead elsewhere never lead there.
ROBOT = "1019"
# How a number begins, where backends lead calls elsewhere (opaque.py); most are as dialled.
KINDS = ["1", "1", "1", "7", "8"]
# The shares of callers who call somebody else at the same time, of calls to the backend itself, of calls that are
# transferred in the middle, held for a while, or changed by UPDATE.
TWICE, TO_ROBOT, TRANSFERRED, HELD, UPDATED = 0.25, 0.15, 0.15, 0.2, 0.1
# Of calls that change, those that change at the next fault.
IN_TIME = 0.5
MOST_TALK = 8.0


class Attempt(NamedTuple):
    """A call somebody made."""

    at: float
    caller: str
    callee: str
    call: PhoneCall


class People:
    """See the module. `held` are the calls that were, at some time."""

    def __init__(self, cluster: Cluster, random: Random, users: list[str], tell: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._world = cluster.world
        self._random = random
        self._users = users
        self._tell = tell
        self.attempts: list[Attempt] = []
        self.held: dict[PhoneCall, None] = {}
        self.hearing: Hearing

    def start(self, rough: bool) -> None:
        """Everybody is there and registered, robots at their backends."""
        self.hearing = Hearing(self._cluster, rough)
        for index, (name, host) in enumerate(BACKENDS.items()):
            self._add_robot(name, Endpoint(Transport.UDP, Address(host, 5060)), f"198.51.100.{21 + index}")
        for user in self._users:
            tcp = self._random.random() < 0.3
            answer_after = self._random.choice([0.05, 0.3, 2.0])
            early = self._random.random() < 0.3
            self._cluster.phone(user, tcp=tcp, answer_after=answer_after, early_media=early)
            self._cluster.act(user, "register")
        phones = self._cluster.phones.values()
        self._world.run_until(lambda: all(phone.registered for phone in phones), 60.0)

    def _add_robot(self, name: str, server: Endpoint, host: str) -> None:
        settings = PhoneSettings(
            user=ROBOT, password=USERS[ROBOT], domain=DOMAIN, server=server, address=Address(host, 5060),
            answer_after=0.02,
        )  # fmt: skip
        robot = Phone(settings, self._cluster.chance())
        self._world.add(robot_of(name), robot, [settings.listen])
        self._cluster.residents = 1
        self.restarted(name)

    def restarted(self, name: str) -> None:
        """A backend forgot its robot."""
        robot: Phone = self._world.machine(robot_of(name))
        self._world.act(robot_of(name), robot.register)

    # -- calls ---------------------------------------------------------------------------------------

    def plan(self, end: float) -> None:
        """Calls from now on, the last some seconds before the end."""
        random, at = self._random, self._world.now
        while (at := at + random.expovariate(1.2)) < end - 5.0:
            caller = random.choice(self._users)
            for later in (0.0, random.uniform(0.0, 0.3)):
                number, talk = self._number(caller), random.uniform(0.0, MOST_TALK)
                third = random.choice(self._users) if random.random() < TRANSFERRED else ""
                plan = (caller, number, third, talk)
                self._world.at(at + later, lambda wanted=plan: self._call(*wanted))  # type: ignore[misc]
                if random.random() > TWICE:
                    break

    def _number(self, caller: str) -> str:
        """Somebody else's."""
        if self._random.random() < TO_ROBOT:
            return ROBOT
        while True:
            number = self._random.choice(self._users)
            if self._cluster.opaque:
                number = self._random.choice(KINDS) + number[1:]
            if self._callee(number) != caller:
                return number

    def _callee(self, number: str) -> str:
        return leads_to(number) if self._cluster.opaque else number

    def _call(self, caller: str, number: str, third: str, talk: float) -> None:
        callee, call = self._callee(number), self.call(caller, number)
        self._world.after(talk, lambda: self.hang_up(caller, call))
        if callee == ROBOT:
            return
        if third and third not in (caller, callee):
            self._world.after(talk / 2, lambda: self._transfer(caller, callee, third, call))
        begin, end = sorted(self._random.uniform(0.0, talk) for _ in range(2))
        if self._random.random() < HELD:
            self._world.after(begin, lambda: self._hold(caller, call))
            self._world.after(end, lambda: self._resume(caller, call))
        elif self._random.random() < UPDATED:
            self._world.after(begin, lambda: self._update(caller, call))

    def call(self, caller: str, number: str) -> PhoneCall:
        """For as long as somebody likes."""
        callee = self._callee(number)
        call = self._cluster.call(caller, number)
        self.attempts.append(Attempt(self._world.now, caller, callee, call))
        if callee != ROBOT:
            self.hearing.expect(caller, callee, call)
        return call

    def _transfer(self, caller: str, callee: str, third: str, call: PhoneCall) -> None:
        """The caller lets the callee talk to somebody else."""
        if call.up:
            self._tell(f"{caller} transfers {callee} to {third}")
            others = [other for other in self._cluster.phones[callee].calls.values() if not other.over]
            self.hearing.transferred |= dict.fromkeys([call, *others])
            for other in others:
                self.hearing.expect(callee, third, other)
            self._cluster.act(caller, "transfer", call, third)

    def _hold(self, caller: str, call: PhoneCall) -> None:
        if call.up:
            self._tell(f"{caller} holds call {call.number}")
            self.held[call] = None
            self._cluster.act(caller, "hold", call)

    def _resume(self, caller: str, call: PhoneCall) -> None:
        if call.up:
            self._cluster.act(caller, "resume", call)

    def _update(self, caller: str, call: PhoneCall) -> None:
        """The same session once more, by UPDATE (RFC 3311)."""
        phone = self._cluster.phones[caller]

        def act(now: float) -> list[Any]:
            lines = [header("content-type", SDP)]
            call.session.ask("UPDATE", lambda response, at: None, now, lines, call.media.offer())
            return phone.stack.take()

        if call.up and not call.session.busy:
            self._world.act(caller, act)

    def hang_up(self, caller: str, call: PhoneCall) -> None:
        """If it is not over."""
        if not call.over:
            self._cluster.act(caller, "hang_up", call)

    # -- at a fault ----------------------------------------------------------------------------------

    def fault_near(self) -> None:
        """Something is about to fail: some change their calls just before, some hang up while they are moved."""
        running = [attempt for attempt in self.attempts if attempt.call.up and attempt.callee != ROBOT]
        for attempt in running:
            if self._random.random() > IN_TIME / 2:
                continue
            does = self._random.choice([self._hold, self._update, self.hang_up])
            later = self._random.uniform(0.0, 0.4) if does == self.hang_up else self._random.uniform(0.0, 0.004)
            self._world.after(later, lambda do=does, of=attempt: do(of.caller, of.call))  # type: ignore[misc]

    def leave(self) -> None:
        """Everybody hangs up whatever there is, also who was transferred to each other."""
        for user, phone in self._cluster.phones.items():
            for call in list(phone.calls.values()):
                self.hang_up(user, call)


def robot_of(name: str) -> str:
    """The process that answers at this backend."""
    return f"robot at {name}"
