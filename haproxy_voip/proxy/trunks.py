"""Trunks: carriers and gateways that call us and are called, each in a client's place in a call.

Who is a trunk is told by the network a request comes from; which trunk a backend means, by the parameter `trunk` of the
Request-URI: `sip:NUMBER@PROXY;trunk=NAME`. Only backends are asked for that. A client that names a trunk, in a
Request-URI or in what it wants called for a transfer, is refused.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from ipaddress import ip_address, ip_network

from haproxy_voip.configuration.peers import TrunkConfig
from haproxy_voip.core.address import Flow, Transport, bracketed
from haproxy_voip.core.chance import Chance
from haproxy_voip.core.credential import Credential
from haproxy_voip.proxy.challenges import Sessions
from haproxy_voip.sip.digest import AuthenticationSession
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.headers import NameAddr
from haproxy_voip.sip.message import Header, Request, Response, header
from haproxy_voip.sip.uri import Uri

# Of a Request-URI from a backend: the trunk that is meant.
PARAMETER = "trunk"


class Account:
    """Who we are to a carrier. Stands where `Authentication` does for users."""

    def __init__(self, user: str, password: str, chance: Chance) -> None:
        self.user = user
        self._credential = Credential(user, "", password=password)
        self._chance = chance
        self.sessions: Sessions = defaultdict(dict)

    def session(self, response: Response, user: str) -> AuthenticationSession | None:
        """What answers this challenge, or None when nothing can."""
        return AuthenticationSession.for_response(response, self._credential)

    def authorization(self, session: AuthenticationSession, request: Request) -> Header:
        """The header that proves us in this request."""
        name, value = session.authorization(request.method, request.uri, self._chance.token())
        return header(name, value)

    def answer(self, response: Response, request: Request) -> Header | None:
        """The header that answers the carrier's challenge to `request`, or None when we cannot answer it."""
        session = self.session(response, self.user)
        return None if session is None else self.authorization(session, request)


class Trunk:
    """One of them."""

    __slots__ = ("_networks", "account", "calls", "config", "domain", "name")

    def __init__(self, config: TrunkConfig, chance: Chance) -> None:
        self.name = config.name
        self.calls = 0  # to and from it
        self.take(config, chance)

    def take(self, config: TrunkConfig, chance: Chance) -> None:
        """It is so from now on."""
        register = config.register
        self.config = config
        self._networks = config.from_ or (ip_network(config.address.address.host),)
        self.account = None if register is None else Account(register.user, register.password, chance)
        self.domain = None if register is None else register.domain  # None: it is known by its address

    @property
    def host(self) -> str:
        """The right-hand side of its users' addresses."""
        return bracketed(self.config.address.address.host if self.domain is None else self.domain)

    def sends_from(self, host: str) -> bool:
        """Whether this host is in its networks."""
        address = ip_address(host)
        return any(address in network for network in self._networks)

    def admit(self) -> None:
        """Raises MessageError when it has all the calls it may have."""
        if self.calls >= self.config.max_calls:
            raise MessageError(f"trunks.{self.name}.max_calls is reached", status=503)

    def uri(self, user: str) -> str:
        """This user of the carrier, or with "" the carrier itself."""
        transport, address = self.config.address
        suffix = "" if transport is Transport.UDP else f";transport={transport}"
        host = str(address) if self.domain is None else bracketed(self.domain)
        return f"sip:{user}@{host}{suffix}" if user else f"sip:{host}{suffix}"

    def dialled(self, request: Request) -> str:
        """The number a call of its is for: as the Request-URI says, or where that is only our account, as To does."""
        uri = request.request_uri
        if uri.scheme == "tel":
            return uri.opaque.partition(";")[0]
        to = request.to.uri
        ours = self.account is not None and uri.username == self.account.user
        return (to.user if ours and to.user else uri.user) or ""


class Trunks:
    """All of them."""

    def __init__(self, trunks: tuple[TrunkConfig, ...], chance: Chance) -> None:
        self._chance = chance
        self._by_name = {trunk.name: Trunk(trunk, chance) for trunk in trunks}

    def replace(self, trunks: tuple[TrunkConfig, ...]) -> None:
        """These from now on; one whose name stays is the same with all its calls."""
        former, self._by_name = self._by_name, {}
        for config in trunks:
            trunk = self._by_name[config.name] = former.get(config.name) or Trunk(config, self._chance)
            if trunk.config != config:
                trunk.take(config, self._chance)

    def __iter__(self) -> Iterator[Trunk]:
        return iter(self._by_name.values())

    def calling(self, request: Request, flow: Flow) -> Trunk | None:
        """The trunk this INVITE came over. Of several accounts at one carrier, the one that is called."""
        if not self._by_name or request.method != "INVITE":
            return None
        found = [trunk for trunk in self._by_name.values() if trunk.sends_from(flow.remote.host)]
        user = request.request_uri.username
        called = (trunk for trunk in found if trunk.account is not None and trunk.account.user == user)
        return next(called, found[0] if found else None)

    def meant(self, uri: Uri) -> Trunk | None:
        """The trunk a backend's Request-URI names; None when it names none. Raises MessageError when it is unknown."""
        name = uri.param(PARAMETER)
        if name is None:
            return None
        trunk = self._by_name.get(name)
        if trunk is None or not uri.user:
            raise MessageError(f"no such trunk, or no number: {uri}", status=404)
        return trunk

    def refuse_client(self, request: Request) -> None:
        """Raises MessageError when a client's request names a trunk: only the backends say who may call where."""
        if not self._by_name:
            return
        named: list[Uri | NameAddr] = [request.request_uri]
        if request.has("refer-to"):
            target = NameAddr.parse(request.get("refer-to") or "")
            named += [target, target.uri]  # without <> a backend may take its parameters for the URI's
        if any(one.param(PARAMETER) is not None for one in named):
            raise MessageError("clients may not address a trunk", status=403)
