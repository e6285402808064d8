"""The chat server as a process, and clients on real sockets."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from haproxy_voip.core.address import Address, Endpoint, Transport
from haproxy_voip.core.chance import Chance
from haproxy_voip.embedded import chat_process
from haproxy_voip.embedded.chat_client import ChatClient
from haproxy_voip.embedded.chat_facts import ClientHeard, ClientOffline
from haproxy_voip.embedded.children import Child
from haproxy_voip.embedded.process import LISTENING
from haproxy_voip.embedded.settings import ChatClientSettings
from haproxy_voip.embedded.sockets import Sockets
from tests.embedded.conftest import Run

DOMAIN = "chat.example"
LOOK_EVERY = 0.005


def test_two_clients_write_to_each_other_over_real_sockets_until_the_server_says_goodbye(
    run: Run, passwords_file: Path, free_address: Callable[[], Address]
) -> None:
    server = Endpoint(Transport.TCP, free_address())
    command = [sys.executable, "-m", "haproxy_voip.embedded.chat_process", "--domain", DOMAIN]
    child = Child("chat", [*command, "--passwords", str(passwords_file), "--listen", str(server)])

    async def until(done: Callable[[], bool]) -> None:
        while not done():  # noqa: ASYNC110 - another process does it
            await asyncio.sleep(LOOK_EVERY)

    async def scene() -> None:
        await until(lambda: LISTENING in child.last_words())
        facts: list[object] = []
        clients = []
        for user, password in (("1001", "one"), ("1002", "two")):
            wanted = ChatClientSettings(
                user=user, password=password, domain=DOMAIN, resource="x", server=server, secure=False
            )
            clients.append(ChatClient(wanted, Chance.system()))
        sockets = [Sockets(client, [facts.append]) for client in clients]
        for client, each in zip(clients, sockets, strict=True):
            await each.start(())
            each.act(client.connect)
        await until(lambda: all(client.online for client in clients))
        sockets[0].act(lambda now: clients[0].say(clients[1].jid, "hello", now))
        await until(lambda: any(isinstance(fact, ClientHeard) for fact in facts))
        await asyncio.get_running_loop().run_in_executor(None, child.end)
        await until(lambda: sum(isinstance(fact, ClientOffline) for fact in facts) == 2)
        assert all("system-shutdown" in fact.reason for fact in facts if isinstance(fact, ClientOffline))
        for each in sockets:
            await each.stop()

    try:
        run(scene)
    finally:
        child.end()
    assert not child.alive


def test_the_command_line_becomes_settings(passwords_file: Path) -> None:
    arguments = ["--listen", "tcp:127.0.0.1:5222", "--domain", DOMAIN, "--passwords", str(passwords_file)]
    settings = chat_process.settings(chat_process._parser().parse_args(arguments))
    assert settings.domain == DOMAIN and settings.users == {"1001": "one", "1002": "two"}
