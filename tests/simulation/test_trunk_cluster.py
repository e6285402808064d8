"""A carrier in the storms: calls over it both ways while backends die, and a caller outside who shows a phone's number.

Small: twenty-four histories. What must be so is what must be so of phones' calls (invariants.py, hearing.py).
"""

from __future__ import annotations

from ipaddress import ip_network
from random import Random
from typing import Any

import pytest

from haproxy_voip.configuration.model import HealthConfig
from haproxy_voip.configuration.peers import TrunkConfig
from haproxy_voip.core.address import Address, Endpoint, Flow, Transport
from haproxy_voip.embedded.facts import By, PhoneEnded
from haproxy_voip.embedded.phone_call import PhoneCall
from haproxy_voip.embedded.registrar import Contact
from haproxy_voip.embedded.settings import PhoneSettings
from tests.simulation.cluster import BACKENDS, DOMAIN, PROXY, UP_LIMIT, Cluster, PhoneOfManyPorts
from tests.simulation.hearing import Hearing
from tests.simulation.invariants import Invariants

pytestmark = pytest.mark.simulation

HISTORIES, AT_ONCE = 24, 6
PHONES = ("1001", "1002", "1003")
# Whom the backends reach over the trunk by this number; another caller there shows the number of a phone of ours.
OUTSIDE, LIAR, SHOWN = "1005", "liar", "1001"
CARRIER = Address("203.0.113.200", 5060)
TRUNK = TrunkConfig(name="carrier", address=Endpoint(Transport.UDP, CARRIER), from_=(ip_network("203.0.113.192/27"),))
TROUBLE_SECONDS, CALM_SECONDS, LISTEN_EVERY = 12.0, 12.0, 0.05


class Exchange(Cluster):
    """A cluster with a carrier. Every backend knows `OUTSIDE` as a number there."""

    def __init__(self, seed: int, **config: Any) -> None:
        super().__init__(seed, trust=True, trunks=(TRUNK,), **config)
        self.residents = 1
        self._stranger(OUTSIDE, OUTSIDE, CARRIER)
        self._stranger(LIAR, SHOWN, Address("203.0.113.201", 5060))
        self.registered(*PHONES)

    def start_backend(self, name: str) -> None:
        super().start_backend(name)
        registrar = self.pbx(name).registrar
        flow = Flow(Transport.UDP, Address(BACKENDS[name], 5060), PROXY)
        uri = f"sip:{OUTSIDE}@{PROXY};trunk=carrier"
        registrar._contacts[OUTSIDE] = {uri: Contact(registrar, OUTSIDE, uri, flow, "dial plan", 1, 1e9)}

    def _stranger(self, name: str, shown: str, address: Address) -> None:
        settings = PhoneSettings(
            user=shown, password="none", domain=DOMAIN, server=Endpoint(Transport.UDP, PROXY), address=address
        )
        phone = self.phones[name] = PhoneOfManyPorts(settings, self.chance())
        self.world.add(name, phone, [settings.listen])


def ended(cluster: Cluster, who: str) -> dict[int, PhoneEnded]:
    """How each call ended at this phone."""
    return {fact.call: fact for fact in cluster.facts(who, PhoneEnded)}


# -- plain stories --------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["kill", "freeze"])
@pytest.mark.parametrize(("caller", "callee"), [("1002", OUTSIDE), (OUTSIDE, "1002")])
def test_a_call_over_the_trunk_goes_on_at_the_next_backend(fault: str, caller: str, callee: str) -> None:
    cluster = Exchange(1)
    ours, theirs = cluster.talk(caller, callee)
    getattr(cluster.world, fault)("alpha")
    cluster.world.run(3)
    assert ours.up and theirs.up and cluster.both_hear(ours, theirs)
    assert cluster.pbx("beta").calls == 1
    cluster.act(caller, "hang_up", ours)
    cluster.world.run(1)
    assert theirs.over and cluster.pbx("beta").calls == 0 and not cluster.proxy.plans
    [row] = cluster.proxy.command("status")["trunks"]
    assert row["calls"] == 0


@pytest.mark.parametrize(("caller", "callee"), [("1002", OUTSIDE), (OUTSIDE, "1002")])
@pytest.mark.parametrize("after", [0.0, 0.001, 0.003, 0.01, 0.05])
def test_a_call_attempt_over_the_trunk_at_the_kill_is_answered_at_the_next_backend(
    caller: str, callee: str, after: float
) -> None:
    cluster = Exchange(2)
    call = cluster.call(caller, callee)
    cluster.world.run(after)
    cluster.world.kill("alpha")
    cluster.world.run_until(lambda: call.up, UP_LIMIT)


# -- storms ---------------------------------------------------------------------------------------------


class Storm:
    """One history, with one backend at a time in trouble."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        registration = self.random.choice(["mirror", "active"])
        # Backends that pass no token on: then names and numbers are all there is, and some calls are lost in doubt.
        self.opaque = self.random.random() < 0.5
        health = HealthConfig(inter=0.4)
        self.cluster = Exchange(seed, health=health, registration=registration, opaque=self.opaque)
        self.world = self.cluster.world
        self.invariants = Invariants(self.cluster)
        self.hearing = Hearing(self.cluster, rough=False)
        self.attempts: list[tuple[str, PhoneCall]] = []
        self.troubled = False

    def run(self) -> int:
        """How many calls were answered."""
        end = self.world.now + TROUBLE_SECONDS
        at = self.world.now
        while (at := at + self.random.expovariate(1.5)) < end - 3.0:
            self.world.at(at, self._call)
        at = self.world.now
        while (at := at + self.random.uniform(1.0, 4.0)) < end - 5.0:
            self.world.at(at, self._fault)
        self._listen()
        self.world.run(TROUBLE_SECONDS)
        for caller, call in self.attempts:
            self._hang_up(caller, call)
        self.world.run(CALM_SECONDS)
        return self._reckon()

    def _call(self) -> None:
        caller = self.random.choice([*PHONES, OUTSIDE, LIAR, LIAR])
        others = [*PHONES] if caller in (OUTSIDE, LIAR) else [*PHONES, OUTSIDE, OUTSIDE]
        callee = self.random.choice([one for one in others if one != caller])
        call = self.cluster.call(caller, callee)
        self.hearing.expect(caller, callee, call)
        self.attempts.append((caller, call))
        self.world.after(self.random.uniform(0.0, 6.0), lambda: self._hang_up(caller, call))

    def _hang_up(self, caller: str, call: PhoneCall) -> None:
        if not call.over:
            self.cluster.act(caller, "hang_up", call)

    def _fault(self) -> None:
        name = self.cluster.active
        if self.troubled or name is None:
            return
        self.troubled = True
        kill = self.random.random() < 0.6
        (self.world.kill if kill else self.world.freeze)(name)
        self.world.after(self.random.uniform(0.5, 2.0), lambda: self._mend(kill, name))

    def _mend(self, kill: bool, name: str) -> None:
        (self.cluster.start_backend if kill else self.world.thaw)(name)
        self.world.after(2.0, lambda: setattr(self, "troubled", False))

    def _listen(self) -> None:
        self.hearing.listen()
        self.world.after(LISTEN_EVERY, self._listen)

    def _reckon(self) -> int:
        answered = 0
        for caller, call in self.attempts:
            assert call.over, f"{caller}'s call {call.number} is neither up nor over"
            fact = ended(self.cluster, caller)[call.number]
            answered += fact.status == 200
            if fact.status == 200:
                assert self.opaque or fact.by is By.US, f"{caller}'s call {call.number} was up and did not survive"
        self.invariants.check_registrations()
        assert self.cluster.proxy.command("status")["trunks"][0]["calls"] == 0
        return answered


@pytest.mark.parametrize("first", range(1, HISTORIES, AT_ONCE))
def test_what_must_be_so_is_so_with_a_carrier(first: int) -> None:
    answered = 0
    for seed in range(first, first + AT_ONCE):
        try:
            answered += Storm(seed).run()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
    assert answered > AT_ONCE, "these histories hardly had a call"
