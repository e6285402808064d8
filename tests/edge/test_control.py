from __future__ import annotations

import asyncio
import json
import os
import socket
import stat

import pytest

from haproxy_voip.edge import control as control_module
from haproxy_voip.edge.control import ControlServer
from haproxy_voip.edge.control_client import request
from haproxy_voip.edge.listening import CannotListen
from haproxy_voip.proxy.effects import Reply
from haproxy_voip.proxy.events import Command


class Node:
    """Answers every command with what it was, but `later` ones only when told to."""

    def __init__(self):
        self.commands = []
        self.asked = asyncio.Event()
        self.server = ControlServer(self.receive)

    def receive(self, command: Command) -> None:
        self.commands.append(command)
        self.asked.set()
        if command.name != "later":
            self.server.reply(Reply(command.number, {"name": command.name, **command.arguments}))


async def exchange(path, *lines: bytes, answers: int | None = None) -> list[object]:
    """Send these lines, read as many answers."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"".join(lines))
    read = [json.loads(await reader.readline()) for _ in range(len(lines) if answers is None else answers)]
    writer.close()
    await writer.wait_closed()
    return read


def test_a_command_is_answered(run, socket_path):
    async def scene():
        node = Node()
        await node.server.listen(socket_path)
        asked = asyncio.to_thread(request, socket_path, "drain", {"name": "alpha"})
        assert await asked == {"name": "alpha"}
        assert node.commands == [Command(1, "drain", {"name": "alpha"})]
        await node.server.close()

    run(scene)
    assert not socket_path.exists()


def test_who_asks_before_everything_listens_is_answered_when_it_does(run, socket_path):
    async def scene():
        node = Node()
        await node.server.claim(socket_path)
        asked = asyncio.create_task(asyncio.to_thread(request, socket_path, "status", {}))
        await asyncio.sleep(0.05)
        assert node.commands == []
        await node.server.serve()
        assert await asked == {"name": "status"}
        await node.server.close()

    run(scene)


def test_a_socket_that_was_claimed_only_is_closed_too(run, socket_path):
    async def scene():
        node = Node()
        await node.server.claim(socket_path)
        await node.server.close()

    run(scene)
    assert not socket_path.exists()


def test_only_owner_and_group_may_open_the_socket(run, socket_path):
    async def scene():
        old = os.umask(0o077)
        try:
            node = Node()
            await node.server.listen(socket_path)
        finally:
            os.umask(old)
        mode = await asyncio.to_thread(os.stat, socket_path)
        assert stat.S_IMODE(mode.st_mode) == 0o660
        await node.server.close()

    run(scene)


def test_lines_are_answered_in_order_however_they_arrive(run, socket_path):
    async def scene():
        node = Node()
        await node.server.listen(socket_path)
        lines = [json.dumps({"command": f"c{number}"}).encode() + b"\n" for number in range(2000)]
        answers = await exchange(socket_path, *lines)
        assert answers == [{"name": f"c{number}"} for number in range(2000)]
        reader, writer = await asyncio.open_unix_connection(socket_path)
        for byte in b'{"command": "slow", "arguments": {}}\n':
            writer.write(bytes([byte]))
            await asyncio.sleep(0)
        assert json.loads(await reader.readline()) == {"name": "slow"}
        writer.close()
        await node.server.close()

    run(scene)


def test_a_line_waits_for_the_answer_to_the_one_before(run, socket_path):
    async def scene():
        node = Node()
        await node.server.listen(socket_path)
        reader, writer = await asyncio.open_unix_connection(socket_path)
        writer.write(b'{"command": "later"}\n{"command": "status"}\n')
        await node.asked.wait()
        assert [command.name for command in node.commands] == ["later"]
        node.server.reply(Reply(1, {"first": True}))
        assert json.loads(await reader.readline()) == {"first": True}
        assert json.loads(await reader.readline()) == {"name": "status"}
        writer.close()
        await node.server.close()

    run(scene)


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense\n",
        b"\xff\n",
        b"{}\n",
        b"[1]\n",
        b"[" * 5000 + b"\n",
        b'{"command": 1}\n',
        b'{"command": "x", "arguments": []}\n',
        b'{"command": "x", "arguments": {"a": 1}}\n',
    ],
)
def test_a_malformed_line_is_answered_with_what_would_be_right(run, socket_path, line):
    async def scene():
        node = Node()
        await node.server.listen(socket_path)
        [refused, answered] = await exchange(socket_path, line, b'\n{"command": "still here"}\n')
        assert "write one line" in refused["error"]
        assert answered == {"name": "still here"}
        await node.server.close()

    run(scene)


def test_a_line_without_end_is_cut_off(run, socket_path):
    async def scene():
        node = Node()
        await node.server.listen(socket_path)
        [refused] = await exchange(socket_path, b"x" * (control_module.MAX_LINE_BYTES + 1))
        assert "at most" in refused["error"]
        await node.server.close()

    run(scene)


def test_clients_are_limited(run, socket_path, monkeypatch):
    async def scene():
        monkeypatch.setattr(control_module, "MAX_CLIENTS", 2)
        node = Node()
        await node.server.listen(socket_path)
        writers = []
        for _ in range(2):
            writers.append((await asyncio.open_unix_connection(socket_path))[1])
        [refused] = await exchange(socket_path, answers=1)
        assert "control connections are open already" in refused["error"]
        for writer in writers:
            writer.close()
            await writer.wait_closed()
        assert await exchange(socket_path, b'{"command": "x"}\n') == [{"name": "x"}]
        await node.server.close()

    run(scene)


def test_a_client_that_leaves_is_not_answered(run, socket_path):
    async def scene():
        node = Node()
        await node.server.listen(socket_path)
        _, writer = await asyncio.open_unix_connection(socket_path)
        writer.write(b'{"command": "later"}\n')
        await node.asked.wait()
        writer.close()
        await writer.wait_closed()
        await exchange(socket_path, b'{"command": "x"}\n')  # by now the server has seen the other one leave
        assert len(node.server._clients) <= 1
        node.server.reply(Reply(1, {"too": "late"}))
        node.server.reply(Reply(99, {"never": "asked"}))
        await node.server.close()

    run(scene)


def test_the_edge_itself_may_ask(run, socket_path):
    async def scene():
        node, results = Node(), []
        node.server.ask("users-reload", {"a": "b"}, results.append)
        assert results == [{"name": "users-reload", "a": "b"}]

    run(scene)


def test_a_stale_socket_is_replaced_and_a_live_one_is_not(run, socket_path):
    async def scene():
        stale = socket.socket(socket.AF_UNIX)
        stale.bind(str(socket_path))
        stale.close()
        first, second = Node(), Node()
        await first.server.listen(socket_path)
        with pytest.raises(CannotListen, match="another proxy answers there"):
            await second.server.listen(socket_path)
        await second.server.close()
        assert await exchange(socket_path, b'{"command": "x"}\n') == [{"name": "x"}]
        await first.server.close()

    run(scene)


def test_what_is_no_socket_is_left_alone(run, socket_path):
    socket_path.write_text("precious")

    async def scene():
        with pytest.raises(CannotListen, match="no socket is in the way"):
            await Node().server.listen(socket_path)

    run(scene)
    assert socket_path.read_text() == "precious"


def test_a_socket_that_another_put_in_our_place_is_not_removed(run, socket_path):
    async def scene():
        node = Node()
        await node.server.listen(socket_path)
        await asyncio.to_thread(replace)
        await node.server.close()

    def replace():
        socket_path.unlink()
        socket_path.write_text("not ours")

    run(scene)
    assert socket_path.exists()


@pytest.mark.parametrize("name", ["missing/c.sock", "x" * 200])
def test_a_path_that_cannot_be_is_refused(run, tmp_path, name):
    async def scene():
        with pytest.raises(CannotListen, match="cannot listen on"):
            await Node().server.listen(tmp_path / name)

    run(scene)
