"""The control socket: how the command line speaks to a running proxy.

A local stream socket, JSON objects one to a line:

    {"command": "drain", "arguments": {"name": "alpha"}}
    {"ok": true}

Every line is answered by one line, in order; an answer with `error` says why it was refused. Who may open the
socket file (its owner and group) may do everything.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from haproxy_voip.edge.listening import CannotListen
from haproxy_voip.proxy.effects import Reply
from haproxy_voip.proxy.events import Command

# A command is a name and a few words.
MAX_LINE_BYTES = 64 * 1024
# People and their scripts, not clients of the service.
MAX_CLIENTS = 32
# Answers that wait for somebody who does not read.
MAX_UNREAD_BYTES = 4 * 2**20
# How long (seconds) to look whether a socket file that is there already is alive.
PATIENCE = 5.0
MODE = 0o660
BACKLOG = 16
TOO_LONG_FOR_A_SOCKET = 107  # sun_path less its NUL (unix(7))

Result = dict[str, Any]
Inode = tuple[int, int]  # device and number


class ControlServer:
    """Turns lines into Command events and Reply effects into lines."""

    def __init__(self, receive: Callable[[Command], None]) -> None:
        self._receive = receive
        self._last_number = 0
        self._waiting: dict[int, Callable[[Result], None]] = {}
        self._clients: set[_Client] = set()
        self._server: asyncio.Server | None = None
        self._bound: socket.socket | None = None  # claimed, not served yet
        self._path: Path | None = None
        self._inode: Inode | None = None

    async def listen(self, path: Path) -> None:
        """`claim` and `serve`. Raises CannotListen."""
        await self.claim(path)
        await self.serve()

    async def claim(self, path: Path) -> None:
        """Make the socket file. A stale one is replaced, a live one is not. Raises CannotListen.

        Who connects waits until it is served: what is told to a proxy that does not listen yet would be half done.
        """
        loop = asyncio.get_running_loop()
        self._bound, self._inode = await loop.run_in_executor(None, _bound, path)
        self._path = path

    async def serve(self) -> None:
        """Take commands. After `claim`."""
        bound, self._bound = self._bound, None
        self._server = await asyncio.get_running_loop().create_unix_server(lambda: _Client(self), sock=bound)

    def ask(self, name: str, arguments: Mapping[str, str], answered: Callable[[Result], None]) -> None:
        """Ask the node something; `answered` gets its reply."""
        self._last_number += 1
        self._waiting[self._last_number] = answered
        self._receive(Command(self._last_number, name, dict(arguments)))

    def reply(self, reply: Reply) -> None:
        """Carry out the effect. Nobody waits any more when the client has gone."""
        answered = self._waiting.pop(reply.command, None)
        if answered is not None:
            answered(reply.result)

    async def close(self) -> None:
        """End everything and remove the socket file, unless another proxy has put its own in its place."""
        if self._server is not None:
            self._server.close()
        if self._bound is not None:
            self._bound.close()
        for client in list(self._clients):
            client.close()
        if self._path is not None:
            await asyncio.get_running_loop().run_in_executor(None, _remove_ours, self._path, self._inode)

    def admit(self, client: _Client) -> bool:
        """Whether there is room for one more."""
        if len(self._clients) >= MAX_CLIENTS:
            return False
        self._clients.add(client)
        return True

    def leave(self, client: _Client) -> None:
        """A client has gone."""
        self._clients.discard(client)


class _Client(asyncio.Protocol):
    """One connection: one command under way at a time, further lines wait in the buffer."""

    def __init__(self, server: ControlServer) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._asking = False
        self._taking = False

    def close(self) -> None:
        """Let what was written leave, then end it."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody connected."""
        self._transport = transport
        transport.set_write_buffer_limits(high=MAX_UNREAD_BYTES)
        if not self._server.admit(self):
            self._answer({"error": f"{MAX_CLIENTS} control connections are open already; close some"})
            transport.close()

    def data_received(self, data: bytes) -> None:
        """Part of a line, or several."""
        self._buffer += data
        self._take_lines()

    def connection_lost(self, exc: Exception | None) -> None:
        """Gone."""
        self._transport = None
        self._server.leave(self)

    def pause_writing(self) -> None:
        """It asks and does not read."""
        if self._transport is not None:
            self._transport.abort()

    def _take_lines(self) -> None:
        if self._taking:
            return  # a command answered at once: the loop below goes on with the next line
        self._taking = True
        while not self._asking and (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            self._take(line)
        self._taking = False
        if len(self._buffer) > MAX_LINE_BYTES:
            self._buffer.clear()
            self._answer({"error": f"a command has at most {MAX_LINE_BYTES} bytes"})
            self.close()

    def _take(self, line: bytes) -> None:
        if not line.strip():
            return
        command = _command(line)
        if command is None:
            self._answer({"error": 'write one line {"command": NAME, "arguments": {NAME: TEXT}}'})
            return
        self._asking = True
        self._server.ask(*command, self._answered)

    def _answered(self, result: Result) -> None:
        self._asking = False
        self._answer(result)
        self._take_lines()

    def _answer(self, result: Result) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(json.dumps(result, separators=(",", ":"), default=str).encode() + b"\n")


def _command(line: bytes) -> tuple[str, dict[str, str]] | None:
    try:
        asked = json.loads(line)
    except (ValueError, RecursionError):
        return None
    match asked:
        case {"command": str(name), **others}:
            arguments = others.get("arguments", {})
            if isinstance(arguments, dict) and all(isinstance(value, str) for value in arguments.values()):
                return name, arguments
    return None


def _bound(path: Path) -> tuple[socket.socket, Inode]:
    if len(os.fsencode(path)) > TOO_LONG_FOR_A_SOCKET:
        raise CannotListen(str(path), OSError(errno.ENAMETOOLONG, "the name is too long for a local socket"))
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        # On Linux the file takes the socket's mode, less the umask: it is never open to others, not for an instant.
        os.fchmod(bound.fileno(), MODE)
        bound.bind(str(path))
        path.chmod(MODE)
        bound.listen(BACKLOG)
        bound.setblocking(False)
        return bound, _inode(path)
    except OSError as error:
        bound.close()
        raise CannotListen(str(path), error) from None


def _remove_stale(path: Path) -> None:
    """Raises OSError when something is there that is not ours to remove."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EEXIST, "a file that is no socket is in the way; move it or choose another name")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(PATIENCE)
        try:
            asking.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
    raise OSError(errno.EEXIST, "another proxy answers there; stop it or give this one another `control:`")


def _remove_ours(path: Path, inode: Inode | None) -> None:
    try:
        if _inode(path) == inode:
            path.unlink()
    except OSError:
        return  # somebody else removed it, or its folder


def _inode(path: Path) -> Inode:
    status = path.lstat()
    return status.st_dev, status.st_ino
