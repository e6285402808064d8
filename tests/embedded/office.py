"""A PBX and its phones in a simulated network."""

from __future__ import annotations

from typing import Any

from haproxy_voip.core.address import Address, Endpoint, Transport
from haproxy_voip.core.chance import Chance
from haproxy_voip.embedded.pbx import Pbx
from haproxy_voip.embedded.phone import Phone
from haproxy_voip.embedded.phone_call import PhoneCall
from haproxy_voip.embedded.settings import PbxSettings, PhoneSettings
from tests.simulation.weather import CALM, Weather
from tests.simulation.world import World

PBX = Address("192.0.2.10", 5060)
DOMAIN = "voip.example"


class Office:
    """Phones "1001", "1002", ... register as they are added."""

    def __init__(self, seed: int = 1, weather: Weather = CALM, trust: bool = False) -> None:
        self.world = World(seed, weather)
        listen = (Endpoint(Transport.UDP, PBX), Endpoint(Transport.TCP, PBX))
        users = {str(number): f"secret {number}" for number in range(1001, 1010)}
        settings = PbxSettings(listen=listen, users=users, realm=DOMAIN, trust=trust)
        self.pbx: Pbx = self.world.add("pbx", Pbx(settings, Chance.seeded(seed)), listen)
        self.phones: dict[str, Phone] = {}

    def phone(self, user: str, *, tcp: bool = False, register: bool = True, name: str = "", **settings: Any) -> Phone:
        """Another phone; `name` where one user has several."""
        name = name or user
        address = Address(f"192.0.2.{100 + len(self.phones)}", 5060)
        server = Endpoint(Transport.TCP if tcp else Transport.UDP, PBX)
        wanted = PhoneSettings(
            user=user, password=f"secret {user}", domain=DOMAIN, server=server, address=address, **settings
        )
        phone = Phone(wanted, Chance.seeded(hash_of(name)))
        self.phones[name] = self.world.add(name, phone, [wanted.listen])
        if register:
            self.world.act(name, phone.register)
            self.world.run_until(lambda: phone.registered, 40)
        return phone

    def call(self, caller: str, callee: str, **options: Any) -> PhoneCall:
        """Start a call."""
        phone = self.phones[caller]
        self.world.act(caller, lambda now: phone.call(callee, now, **options))
        return last_call(phone)

    def talk(self, caller: str, callee: str, **options: Any) -> tuple[PhoneCall, PhoneCall]:
        """A call that is up, as both phones have it."""
        ours = self.call(caller, callee, **options)
        self.world.run_until(lambda: ours.up, 40)
        self.world.run(1.0)
        return ours, last_call(self.phones[callee])

    def act(self, name: str, method: str, *arguments: Any, **options: Any) -> None:
        """Let a phone do something."""
        phone = self.phones[name]
        self.world.act(name, lambda now: getattr(phone, method)(*arguments, now, **options))

    def facts(self, name: str, kind: type | None = None) -> list[Any]:
        """What this process told."""
        return [fact for _, who, fact in self.world.facts if who == name and (kind is None or isinstance(fact, kind))]


def last_call(phone: Phone) -> PhoneCall:
    """The newest call of this phone."""
    return phone.calls[max(phone.calls)]


def hash_of(name: str) -> int:
    """The same number in every run, other than `hash`."""
    return int.from_bytes(name.encode(), "big") % 1_000_003
