"""Telephony and chat of a backend that move together, or each by itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from haproxy_voip.cluster.pool import ActiveChanged, Cause
from haproxy_voip.configuration.model import BackendConfig, Config, FailoverConfig, SipConfig
from haproxy_voip.core.address import Address, Endpoint, Transport
from haproxy_voip.proxy.effects import OpenCanary, Probe
from haproxy_voip.proxy.events import ProbeReply
from haproxy_voip.sip.message import Request, parse, response_to
from tests.proxy.chat import stage as chat_stage


def config(*, together: bool = True, **changes: object) -> Config:
    """Backends with both services."""
    plain = chat_stage.config(**changes)  # type: ignore[arg-type]
    backends = [
        replace(backend, sip=Endpoint(Transport.UDP, Address(backend.xmpp.address.host, 5060)))
        for backend in plain.backends
        if backend.xmpp is not None
    ]
    sip = SipConfig(listen=(Endpoint(Transport.UDP, Address("127.0.0.10", 5060)),))
    failover = FailoverConfig(together=together)
    return replace(plain, proxy=replace(plain.proxy, sip=sip), backends=tuple(backends), failover=failover)


class Stage(chat_stage.Stage):
    """Its PBXes answer probes unless they are in `deaf`."""

    def __init__(self, configuration: Config) -> None:
        self.deaf: set[str] = set()
        super().__init__(configuration)

    def carry_out(self, outputs: list[object]) -> None:
        others: list[object] = []
        for output in outputs:
            match output:
                case Probe(backend, data) if backend not in self.deaf:
                    request = parse(data)
                    assert isinstance(request, Request)
                    self.feed(ProbeReply(backend, response_to(request, 200).encode()))
                case Probe() | OpenCanary(service="sip"):
                    pass
                case _:
                    others.append(output)
        super().carry_out(others)

    @property
    def active(self) -> tuple[str | None, str | None]:
        """Of telephony, of chat."""
        return self.node.backends.pool.active, self.chat.shared.backends.pool.active

    def lose_telephony(self, name: str) -> None:
        self.deaf.add(name)
        self.run(1.0)

    def lose_chat(self, name: str) -> None:
        self.kill(name)
        self.run(1.0)


def test_by_default_each_moves_by_itself() -> None:
    stage = Stage(config(together=False))
    stage.lose_chat("alpha")
    assert stage.active == ("alpha", "beta")
    stage.command("switch", name="charlie", service="sip")
    assert stage.active == ("charlie", "beta")


def test_chat_follows_telephony_without_losing_a_word() -> None:
    stage = Stage(config())
    assert stage.active == ("alpha", "alpha")
    alice, bob = stage.client("alice"), stage.client("bob")
    stage.lose_telephony("alpha")
    assert stage.active == ("beta", "beta")
    assert stage.backend_of(alice) == stage.backend_of(bob) == "beta" and alice.error is None
    alice.say(bob.jid, "here we are")
    stage.run(0.5)
    assert bob.said() == ["here we are"]
    changes = [fact for fact in stage.facts if isinstance(fact, ActiveChanged)][-2:]
    assert {(change.new, change.why) for change in changes} == {("beta", Cause.DOWN), ("beta", Cause.TOGETHER)}


def test_telephony_follows_chat() -> None:
    stage = Stage(config())
    stage.lose_chat("alpha")
    assert stage.active == ("beta", "beta")
    assert stage.node.backends.detectors["alpha"].up  # what is there stays


@pytest.mark.parametrize("service", ["sip", "xmpp"])
def test_an_operator_who_moves_one_moves_both(service: str) -> None:
    stage = Stage(config())
    stage.command("switch", name="charlie", service=service)
    assert stage.active == ("charlie", "charlie")
    stage.command("drain", name="charlie", service=service)
    assert stage.active == ("alpha", "alpha")


def test_one_that_both_can_use_is_taken() -> None:
    stage = Stage(config())
    stage.lose_chat("beta")
    stage.client("alice")
    stage.lose_telephony("alpha")
    assert stage.active == ("charlie", "charlie")
    assert stage.chat.shared.backends.next_after("charlie") == "alpha"  # beta is down


def test_apart_they_meet_as_soon_as_they_can_and_never_where_one_is_down() -> None:
    stage = Stage(config())
    stage.lose_chat("beta")
    stage.lose_chat("charlie")
    stage.lose_telephony("alpha")
    assert stage.active == ("beta", "alpha")
    stage.revive("beta")
    assert stage.active == ("beta", "beta")


def test_both_fail_back_when_who_led_does() -> None:
    stage = Stage(config(failback=5.0))
    stage.lose_telephony("alpha")
    stage.run(10.0)
    assert stage.active == ("beta", "beta")
    stage.deaf.clear()
    stage.run(10.0)
    assert stage.active == ("alpha", "alpha")


def test_a_backend_with_one_service_is_no_meeting_place() -> None:
    plain = config()
    alpha, beta, charlie = plain.backends
    phones_only = BackendConfig(name="beta", sip=beta.sip)
    stage = Stage(replace(plain, backends=(alpha, phones_only, charlie)))
    stage.command("switch", name="beta")
    assert stage.active == ("beta", "alpha")
    stage.command("switch", name="charlie", service="xmpp")
    assert stage.active == ("charlie", "charlie")
