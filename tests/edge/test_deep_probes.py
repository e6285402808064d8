"""Deep probes as the edge has them done: a process that is started when it is needed, and again when it has ended."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from haproxy_voip.configuration.model import (
    BackendChatConfig,
    BackendConfig,
    ChatProbeConfig,
    Config,
    ProxyConfig,
    XmppConfig,
)
from haproxy_voip.configuration.peers import BackendTlsConfig
from haproxy_voip.core.address import Endpoint
from haproxy_voip.core.credential import Secret
from haproxy_voip.edge import deep_probes
from haproxy_voip.edge.deep_probes import DeepProbes, deep_targets
from haproxy_voip.edge.facts import ProberFailed
from haproxy_voip.proxy.effects import ProbeDeeply
from haproxy_voip.proxy.events import DeepProbeDone

# Answers the second question with "no", all others with success, and dies of number 9.
STAND_IN = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    if asked["number"] == 9:
        sys.exit(3)
    failure = "no" if asked["number"] == 2 else None
    print(json.dumps({"backend": asked["backend"], "number": asked["number"], "failure": failure}), flush=True)
"""


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that needs no server."""
    monkeypatch.setattr(deep_probes, "COMMAND", (sys.executable, "-c", STAND_IN))


def test_results_come_back_by_number(run, heard, stand_in):
    async def scene():
        told = heard()
        probes = DeepProbes(told, told)
        probes.aim({"alpha": {"backend": "alpha"}})
        probes.send(ProbeDeeply("alpha", 1))
        probes.send(ProbeDeeply("alpha", 2))
        await told.until(DeepProbeDone, 2)
        assert told == [DeepProbeDone("alpha", 1, None), DeepProbeDone("alpha", 2, "no")]
        await probes.stop()
        assert len(told) == 2

    run(scene)


def test_a_process_that_ended_is_told_of_and_started_again(run, heard, stand_in):
    async def scene():
        told = heard()
        probes = DeepProbes(told, told)
        probes.aim({"alpha": {"backend": "alpha"}})
        probes.send(ProbeDeeply("alpha", 9))
        assert await told.until(ProberFailed) == ProberFailed("it ended with status 3")
        await asyncio.sleep(0)
        probes.send(ProbeDeeply("alpha", 10))
        assert await told.until(DeepProbeDone) == DeepProbeDone("alpha", 10, None)
        await probes.stop()

    run(scene)


def test_one_that_cannot_be_started_is_no_failure_of_the_backend(run, heard, monkeypatch):
    async def scene():
        told = heard()
        monkeypatch.setattr(deep_probes, "COMMAND", ("/nowhere/python",))
        probes = DeepProbes(told, told)
        probes.aim({"alpha": {"backend": "alpha"}})
        probes.send(ProbeDeeply("alpha", 1))
        await told.until(ProberFailed)
        assert len(told) == 1
        await probes.stop()
        await DeepProbes(told, told).stop()

    run(scene)


def test_the_process_is_told_what_the_configuration_says():
    probe = ChatProbeConfig(user="probe", secret=Secret("pass"), timeout=3.0)
    backends = (
        BackendConfig(
            name="alpha",
            xmpp=Endpoint.parse("tcp:192.0.2.11:5222"),
            chat=BackendChatConfig(starttls="optional", probe=probe),
        ),
        BackendConfig(
            name="beta",
            xmpp=Endpoint.parse("tls:192.0.2.12:5223"),
            chat=BackendChatConfig(probe=probe),
            tls=BackendTlsConfig(ca=Path("ca.pem"), name="beta.example", verify=False),
        ),
        BackendConfig(name="charlie", xmpp=Endpoint.parse("tcp:192.0.2.13:5222")),
    )
    proxy = ProxyConfig(domain="chat.example", xmpp=XmppConfig(listen=()))
    targets = deep_targets(Config(proxy=proxy, backends=backends))
    same = {"jid": "probe@chat.example", "password": "pass", "timeout": 3.0}
    assert targets["alpha"] == same | {
        "backend": "alpha", "host": "192.0.2.11", "port": 5222, "tls": "optional", "verify": True, "ca": None,
        "name": "chat.example",
    }  # fmt: skip
    assert targets["beta"] == same | {
        "backend": "beta", "host": "192.0.2.12", "port": 5223, "tls": "direct", "verify": False, "ca": "ca.pem",
        "name": "beta.example",
    }  # fmt: skip
    assert list(targets) == ["alpha", "beta"]
