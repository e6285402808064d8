from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from haproxy_voip.edge.control import ControlServer
from haproxy_voip.proxy.effects import Reply
from haproxy_voip.proxy.events import Command


def test_without_a_running_proxy_control_commands_say_so(asked, config, tmp_path):
    for command in (["status"], ["drain", "alpha"], ["maint", "alpha"], ["ready", "alpha"], ["switch", "alpha"]):
        status, out, err = asked(*command, "-c", config)
        assert status == 3 and out == "" and "no proxy runs there" in err
    status, _, err = asked("status", "--control", str(tmp_path / "x.sock"))
    assert status == 3 and "x.sock" in err


def test_a_broken_users_file_keeps_nobody_from_asking(asked, config, folder):
    (folder / "users.yaml").unlink()
    assert asked("status", "-c", config)[0] == 3


def test_maint_says_what_it_does(capsys, asked):
    with pytest.raises(SystemExit):
        asked("maint", "--help")
    said = " ".join(capsys.readouterr().out.split())
    assert "moves or ends at once" in said and "still checked" in said


@contextmanager
def answering(folder: Path, results: list[dict[str, Any]]) -> Iterator[list[Command]]:
    """A control socket behind which these answers are given, the last one again and again; what was asked."""
    asked: list[Command] = []
    listening = threading.Event()
    loop = asyncio.new_event_loop()
    ended = asyncio.Event()

    async def serve() -> None:
        def receive(command: Command) -> None:
            asked.append(command)
            server.reply(Reply(command.number, results[min(len(asked), len(results)) - 1]))

        server = ControlServer(receive)
        await server.listen(folder / "c.sock")
        listening.set()
        await ended.wait()
        await server.close()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert listening.wait(5.0)
        yield asked
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(5.0)
        loop.close()


def backends(moved: int | None, to_move: int | None, staying: dict[str, int] | None) -> dict[str, Any]:
    row = {"name": "alpha", "admin": "drain", "moved": moved, "to_move": to_move, "staying": staying}
    return {"active": "beta", "backends": [row, {**row, "name": "beta", "moved": None, "to_move": None}]}


def test_drain_alone_says_how_things_are_and_is_done(asked, config, folder):
    with answering(folder, [backends(None, None, None)]) as commands:
        status, out, err = asked("drain", "alpha", "-c", config)
    assert status == 0 and "active: beta" in out and err == ""
    assert [(one.name, one.arguments) for one in commands] == [("drain", {"name": "alpha"})]


def test_drain_with_move_tells_how_far_it_has_come_until_it_is_done(asked, config, folder):
    steps = [(0, 6, {}), (0, 6, {}), (2, 4, {}), (4, 0, {"it talks to the backend itself": 2})]
    with answering(folder, [backends(*step) for step in steps]) as commands:
        status, out, err = asked("drain", "alpha", "--move", "-c", config)
    assert status == 0 and "active: beta" in out
    assert err.splitlines() == [
        "moved 0 of 6 calls",
        "moved 2 of 6 calls",
        "moved 4 of 6 calls; 2 stay: it talks to the backend itself",
    ]
    assert [one.name for one in commands] == ["drain", "status", "status", "status"]
    assert commands[0].arguments == {"name": "alpha", "move": "yes"}


def test_drain_with_move_ends_when_another_word_was_said(asked, config, folder):
    with answering(folder, [backends(0, 2, {}), backends(None, None, None)]):
        status, _, err = asked("drain", "alpha", "--move", "-c", config)
    assert status == 1 and "no more calls are moved" in err
