"""Draws the transition tables of the transaction machines by running them: every state x every event.

python -m tests.tidy.states     rewrites docs/states/
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

from haproxy_voip.sip import invite_client, invite_server, non_invite_client, non_invite_server
from haproxy_voip.sip.invite_client import InviteClient
from haproxy_voip.sip.invite_server import InviteServer
from haproxy_voip.sip.non_invite_client import NonInviteClient
from haproxy_voip.sip.non_invite_server import NonInviteServer
from haproxy_voip.sip.timers import Actions, Timing

DIRECTORY = Path(__file__).parents[2] / "docs" / "states"
COMMAND = "python -m tests.tidy.states"
NOW = 100.0  # when the event under test happens

Machine = Any  # one of the four; which methods it has follows from its events
Event = Callable[[Machine], Actions]


def received(status: int, machine: Machine) -> Actions:
    return machine.receive(status, NOW)  # type: ignore[no-any-return]


def answered(status: int, machine: Machine) -> Actions:
    return machine.respond(status, NOW)  # type: ignore[no-any-return]


def cancel_sent(machine: InviteClient) -> Actions:
    """The layer sends a CANCEL only once a provisional response came (RFC 3261 section 9.1)."""
    return machine.cancelled(NOW) if machine.state is invite_client.State.PROCEEDING else ()


CLIENT: dict[str, Event] = {
    "1xx received": partial(received, 180),
    "2xx received": partial(received, 200),
    "300-699 received": partial(received, 486),
    "transport failed": lambda machine: machine.transport_failed(),
}
SERVER: dict[str, Event] = {
    "request repeated": lambda machine: machine.repeated(NOW),
    "user answers 100": partial(answered, 100),
    "user answers 101-199": partial(answered, 180),
    "user answers 2xx": partial(answered, 200),
    "user answers 408": partial(answered, 408),
    "user answers other 300-699": partial(answered, 486),
}


@dataclass(frozen=True)
class Subject:
    """One machine: how to make it, its states, and all that may happen to it besides its timers."""

    make: Callable[[bool, Timing], Machine]
    states: type[StrEnum]
    events: dict[str, Event]


SUBJECTS = {
    "invite_client": Subject(InviteClient, invite_client.State, CLIENT | {"CANCEL sent": cancel_sent}),
    "invite_server": Subject(
        InviteServer, invite_server.State, SERVER | {"ACK received": lambda machine: machine.ack(NOW)}
    ),
    "non_invite_client": Subject(NonInviteClient, non_invite_client.State, CLIENT),
    "non_invite_server": Subject(NonInviteServer, non_invite_server.State, SERVER),
}


def page(name: str) -> str:
    """What docs/states/<name>.md has to say."""
    subject = SUBJECTS[name]
    lines = [f"# {name}", ""]
    lines += [f"Drawn by running haproxy_voip/sip/{name}.py (`{COMMAND}`). What is not listed does nothing.", ""]
    for title, reliable in (("UDP", False), ("TCP and TLS", True)):
        lines += [f"## {title}", "", "| state | event | does | next | starts (seconds) |", "|---|---|---|---|---|"]
        lines += [row for _, row in explore(subject, reliable)] + [""]
    return "\n".join(lines)


def explore(subject: Subject, reliable: bool) -> list[tuple[str, str]]:
    """Every state x event that does something, as (state, row of the table), states in their order."""
    machine = subject.make(reliable, Timing())
    rows = [("", _row("", "start", machine, machine.start(NOW), {}))]
    waiting, seen = [machine], {_situation(machine)}
    while waiting:
        machine = waiting.pop(0)
        for label, act in _events_of(subject, machine).items():
            after = copy.deepcopy(machine)
            actions = act(after)
            if actions or _situation(after) != _situation(machine):
                rows.append((machine.state, _row(machine.state, label, after, actions, machine.timers)))
            if _situation(after) not in seen:
                seen.add(_situation(after))
                waiting.append(after)
    order = ["", *subject.states]
    return sorted(dict.fromkeys(rows), key=lambda found: order.index(found[0]))


def _events_of(subject: Subject, machine: Machine) -> dict[str, Event]:
    return subject.events | {f"timer {timer}": partial(_fire, timer) for timer in machine.timers}


def _fire(timer: str, machine: Machine) -> Actions:
    """This timer alone comes due."""
    machine.timers = {name: NOW if name == timer else NOW + 1000 for name in machine.timers}
    actions: Actions = machine.wake(NOW)
    return actions


def _situation(machine: Machine) -> tuple[str, tuple[str, ...]]:
    return machine.state, tuple(sorted(machine.timers))


def _row(state: str, label: str, machine: Machine, actions: Actions, before: dict[str, float]) -> str:
    started = [
        f"{timer.partition(':')[0]} {at - NOW:g}"
        for timer, at in machine.timers.items()
        if at - NOW < 1000 and before.get(timer) != at
    ]
    return f"| {state} | {label} | {', '.join(actions)} | {machine.state} | {', '.join(started)} |"


if __name__ == "__main__":
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    for name in SUBJECTS:
        (DIRECTORY / f"{name}.md").write_text(page(name), encoding="utf-8")
