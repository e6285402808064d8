"""A whole cluster in the simulated network: one proxy, alpha, beta and charlie, and phones."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from haproxy_voip.configuration.model import BackendConfig, Config, ProxyConfig, SipConfig
from haproxy_voip.core.address import Address, Endpoint, Transport
from haproxy_voip.core.chance import Chance
from haproxy_voip.core.credential import Credential
from haproxy_voip.embedded.pbx import Pbx
from haproxy_voip.embedded.phone import Phone
from haproxy_voip.embedded.phone_call import PhoneCall
from haproxy_voip.embedded.session import Session
from haproxy_voip.embedded.settings import PbxSettings, PhoneSettings
from haproxy_voip.proxy.events import Reconfigured
from haproxy_voip.proxy.facts import SessionFailed
from haproxy_voip.proxy.node import Node
from haproxy_voip.rtp.flow import StreamPlan
from tests.simulation.opaque import OpaquePbx
from tests.simulation.proxy_edge import ProxyEdge, hears
from tests.simulation.weather import CALM, Weather
from tests.simulation.world import World

DOMAIN = "voip.example"
PROXY = Address("192.0.2.1", 5060)
BACKENDS = {"alpha": "198.51.100.11", "beta": "198.51.100.12", "charlie": "198.51.100.13"}
USERS = {str(number): f"secret {number}" for number in range(1001, 1021)}
NO_TERMS: Mapping[str, Mapping[str, Any]] = {}
NOTHING: Mapping[int, StreamPlan] = {}
LISTEN = (Endpoint(Transport.UDP, PROXY), Endpoint(Transport.TCP, PROXY))
UP_LIMIT = 10.0  # virtual seconds for things that need no more than a few round trips and a retransmission
# How apart the seeds of the machines in one world are.
SPREAD = 1_000
# No number of a backend's media ports is given twice in a history, whatever dies.
FIRST_MEDIA_PORT = 10_000


class PhoneOfManyPorts(Phone):
    """Each of its calls has a port of its own, which tells whom somebody hears."""

    def _new_call(self, session: Session) -> PhoneCall:
        call = super()._new_call(session)
        host, port = call.media.local
        call.media.local = Address(host, port + 2 * call.number)
        return call


class Cluster:
    """See the module. Everything has its own chance, made from the one seed."""

    def __init__(
        self,
        seed: int,
        weather: Weather = CALM,
        *,
        trust: bool = False,
        opaque: bool = False,
        terms: Mapping[str, Mapping[str, Any]] = NO_TERMS,
        **config: Any,
    ) -> None:
        self.world = World(seed, weather)
        self.world.readers.append(_no_mistake)
        self.trust = trust
        self.terms = terms  # more of the backends' configuration, by name
        self.opaque = opaque  # whether the backends pass nothing on that would show what belongs together
        self.residents = 0  # contacts at each backend that are not the proxy's
        self._media_ports = itertools.count(FIRST_MEDIA_PORT, 2)
        self.phones: dict[str, Phone] = {}
        self._chances = iter(range(seed * SPREAD, (seed + 1) * SPREAD))
        # Servers stand side by side; only the phones' links have weather.
        for one in (*BACKENDS, "proxy"):
            for other in BACKENDS:
                self.world.links[frozenset((one, other))] = CALM
        for name in BACKENDS:
            self.start_backend(name)
        self.config = _config({"backends": _backends(terms), **config})
        self.start_proxy()

    def chance(self) -> Chance:
        """Another one from the seed."""
        return Chance.seeded(next(self._chances))

    def start_proxy(self, inherited: Mapping[int, StreamPlan] = NOTHING) -> None:
        """Start the proxy, or the next one where it was; `inherited` is what the kernel relays of the one before."""
        credentials = {user: Credential(user, DOMAIN, password) for user, password in USERS.items()}
        node = Node(self.config, (DOMAIN, credentials), self.chance(), self.world.now)
        known = replace(self.config, backends=_backends(self.terms))  # the configuration may have fewer just now
        self.proxy = ProxyEdge(self.world, "proxy", node, known, inherited)
        self.proxy.beyond = self._beyond

    def reload(self, *names: str) -> None:
        """The proxy has these backends from now on, in this order."""
        self.configure(*names)
        self.proxy.tell(Reconfigured(self.config))

    def configure(self, *names: str) -> None:
        """The configuration has these backends from now on; nobody reads it yet."""
        known = {backend.name: backend for backend in _backends(self.terms)}
        self.config = replace(self.config, backends=tuple(known[name] for name in names))

    @property
    def configured(self) -> list[str]:
        """The backends that the proxy was told last."""
        return [backend.name for backend in self.config.backends]

    def start_backend(self, name: str) -> None:
        """Start a PBX, or start it again after it was killed: it has forgotten everything."""
        address = Address(BACKENDS[name], 5060)
        listen = (Endpoint(Transport.UDP, address), Endpoint(Transport.TCP, address))
        settings = PbxSettings(listen=listen, users=USERS, realm=DOMAIN, trust=self.trust)
        pbx: Any = Pbx(settings, self.chance())
        if self.opaque:
            pbx = OpaquePbx(pbx, address.host, self._media_ports, self.chance())
        self.world.add(name, pbx, listen)

    def _beyond(self, target: Address) -> Address | None:
        """Where a packet goes on that arrives at a backend's own port."""
        name = next((name for name, host in BACKENDS.items() if host == target.host), None)
        process = None if name is None else self.world.processes[name]
        if process is None or not process.alive or process.frozen or self.world.apart("proxy", process.name):
            return None
        found: Address | None = process.machine.party.get(target)
        return found

    def pbx(self, name: str) -> Pbx:
        """The PBX of this name as it runs now."""
        machine: Pbx = self.world.machine(name)
        return machine

    def phone(self, user: str, *, tcp: bool = False, **settings: Any) -> Phone:
        """Another phone, not registered yet."""
        address = Address(f"203.0.113.{10 + len(self.phones)}", 5060)
        wanted = PhoneSettings(
            user=user,
            password=USERS[user],
            domain=DOMAIN,
            server=Endpoint(Transport.TCP if tcp else Transport.UDP, PROXY),
            address=address,
            **settings,
        )
        phone = self.phones[user] = PhoneOfManyPorts(wanted, self.chance())
        self.world.add(user, phone, [wanted.listen])
        return phone

    def registered(self, *users: str, **settings: Any) -> None:
        """Phones for these users, registered at the proxy and by it wherever it registers them."""
        for user in users:
            phone = self.phone(user, **settings)
            self.world.act(user, phone.register)
        self.world.run_until(lambda: all(self.phones[user].registered for user in users), 4 * UP_LIMIT)
        self.world.run(2.0)

    @property
    def active(self) -> str | None:
        """The backend that new calls go to."""
        return self.proxy.node.backends.pool.active

    # -- calls ---------------------------------------------------------------------------------------

    def act(self, user: str, method: str, *arguments: Any, **options: Any) -> None:
        """Let a phone do something."""
        phone = self.phones[user]
        self.world.act(user, lambda now: getattr(phone, method)(*arguments, now, **options))

    def call(self, caller: str, callee: str, **options: Any) -> PhoneCall:
        """Start a call."""
        self.act(caller, "call", callee, **options)
        return last_call(self.phones[caller])

    def talk(self, caller: str, callee: str, limit: float = UP_LIMIT) -> tuple[PhoneCall, PhoneCall]:
        """A call that is up at both ends with audio both ways, as both phones have it."""
        ours = self.call(caller, callee)
        self.world.run_until(lambda: ours.up and any(call.up for call in self.phones[callee].calls.values()), limit)
        theirs = last_call(self.phones[callee])
        self.world.run_until(lambda: self.both_hear(ours, theirs), limit)
        return ours, theirs

    def both_hear(self, one: PhoneCall, other: PhoneCall) -> bool:
        """Whether audio passes both ways."""
        return hears(self.proxy, one, other) and hears(self.proxy, other, one)

    def facts(self, name: str, kind: type) -> list[Any]:
        """What this process told."""
        return self.world.told(kind, name)


def _no_mistake(at: float, who: str, fact: object) -> None:
    """The proxy lives on after a mistake of its own; a test shall not pass over it."""
    assert not isinstance(fact, SessionFailed), f"{at:.3f} {who}: {fact}"


def last_call(phone: Phone) -> PhoneCall:
    """The newest call of this phone."""
    return phone.calls[max(phone.calls)]


def _config(changes: dict[str, Any]) -> Config:
    fields = {"proxy": ProxyConfig(domain=DOMAIN, sip=SipConfig(listen=LISTEN)), **changes}
    return Config(users=Path("users.yaml"), **fields)


def _backends(terms: Mapping[str, Mapping[str, Any]]) -> tuple[BackendConfig, ...]:
    return tuple(
        BackendConfig(name=name, sip=Endpoint(Transport.UDP, Address(host, 5060)), **terms.get(name, {}))
        for name, host in BACKENDS.items()
    )
