"""What `init` must know: each thing from its flag, from an answer, or as suggested."""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Callable
from pathlib import Path

from haproxy_voip.commands import USAGE, Failure
from haproxy_voip.commands.asking import Answer, Asking
from haproxy_voip.commands.options import DEFAULT_CONTROL
from haproxy_voip.configuration import users
from haproxy_voip.configuration.draft import CHAT, SIP, Draft, Service, server
from haproxy_voip.configuration.errors import ConfigErrors
from haproxy_voip.configuration.kinds import Domain, Host, Place, Ports, Whole, Wrong
from haproxy_voip.configuration.model import DEFAULT_PORTS, WILDCARDS
from haproxy_voip.core.address import Address, Endpoint
from haproxy_voip.core.credential import Credential
from haproxy_voip.edge.own_addresses import is_own, own_addresses, source_towards, why_taken

USERS = "users.yaml"
CONTROL = "haproxy_voip.sock"  # beside the configuration, where /run is not ours
PORT = Whole(1, 65534)  # the next one is for TLS

Servers = dict[str, str]


def draft_of(options: argparse.Namespace, asking: Asking, folder: Path) -> tuple[Draft, Credential | None]:
    """All of it, and the first user, if somebody wants one. Raises Failure."""
    questions = _Questions(options, asking, folder)
    sip, chat = questions.servers()
    addresses = questions.addresses([*sip.values(), *chat.values()])
    advertise = questions.advertise(addresses)
    domain = questions.domain(advertise or next(iter(addresses), None))
    certificate, key = questions.certificate(chat=bool(chat))
    media_ports = questions.media_ports(sip=bool(sip))
    listed = questions.users(sip=bool(sip))
    asking.refuse_missing()
    draft = Draft(
        domain=domain,
        addresses=addresses,
        advertise=advertise,
        sip=sip,
        chat=chat,
        sip_port=questions.port("--port", options.port, SIP, addresses[0]) if sip else SIP.port,
        chat_port=questions.port("--chat-port", options.chat_port, CHAT, addresses[0]) if chat else CHAT.port,
        media_ports=media_ports,
        certificate=certificate,
        key=key,
        users=listed,
        control=options.control or (None if os.access(DEFAULT_CONTROL.parent, os.W_OK) else CONTROL),
    )
    return draft, questions.first_user(draft)


class _Questions:
    def __init__(self, options: argparse.Namespace, asking: Asking, folder: Path) -> None:
        self.options = options
        self.asking = asking
        self.folder = folder

    def servers(self) -> tuple[Servers, Servers]:
        """Both services'. At least one server is needed."""
        sip = self._given_servers("--backend", self.options.backend, SIP, {})
        chat = self._given_servers("--chat", self.options.chat, CHAT, sip)
        if sip or chat:
            return sip, chat
        if not self.asking.present:
            self.asking.missing.append("--backend NAME=udp:ADDRESS:PORT, a SIP server; or --chat NAME=tcp:ADDRESS:PORT")
            return {}, {}
        print(
            "The servers that shall stand behind the proxy, the preferred one first: an address or host name, or all of"
        )
        print("NAME=TRANSPORT:ADDRESS:PORT, e.g. alpha=udp:10.0.0.11:5060. Enter alone ends the list.")
        while not sip and not chat:
            sip = self._asked_servers("SIP server", SIP, {})
            chat = self._asked_servers("chat server (XMPP)", CHAT, sip)
            if not sip and not chat:
                print("  at least one server is needed; Ctrl-C gives up")
        return sip, chat

    def _given_servers(self, flag: str, texts: list[str], service: Service, others: Servers) -> Servers:
        found: Servers = {}
        for text in texts:
            name, endpoint = self.asking.given(flag, text, lambda text: _server(text, service, found, others))
            found[name] = endpoint
        return found

    def _asked_servers(self, what: str, service: Service, others: Servers) -> Servers:
        found: Servers = {}
        while True:
            read = _or_nothing(lambda text: _server(text, service, found, others))
            answer = self.asking.ask(f"{what} {len(found) + 1}, Enter: no {'more' if found else 'such'}", read)
            if answer is None:
                return found
            found[answer[0]] = answer[1]

    def addresses(self, servers: list[str]) -> tuple[str, ...]:
        """The proxy's own, by default the one of the default route; where all servers are on this machine, its own."""
        host = Host(wildcard=True)
        if self.options.address:
            return tuple(self.asking.given("--address", text, host.read) for text in self.options.address)
        own = own_addresses()
        suggested = _towards_loopback(servers) or next((one.host for one in own), None)
        if self.asking.present:
            listed = ", ".join(f"{one.host} ({one.interface}{', default route' * one.by_default})" for one in own)
            self.asking.say(f"This machine has {listed or 'no address that others could reach'}.")
            return (self.asking.ask("Address of the proxy, for phones and servers", _own_address, suggested),)
        if self.asking.suggestions and suggested is not None:
            return (suggested,)
        why = "" if suggested is None else f"; --yes takes {suggested}"
        self.asking.missing.append(f"--address IP, the proxy's own{why}")
        return ()

    def advertise(self, addresses: tuple[str, ...]) -> str | None:
        """Where others cannot send to the address itself."""
        if self.options.advertise is not None:
            return self.asking.given("--advertise", self.options.advertise, Host().read)
        needed = any(address in WILDCARDS for address in addresses)
        if self.asking.present:
            question = "Public address, if phones come through a router that translates"
            if needed:
                return self.asking.ask(question, Host().read)
            return self.asking.ask(f"{question}, Enter: none", _or_nothing(Host().read))
        if needed:
            self.asking.missing.append("--advertise IP, what others send to, because --address is a wildcard")
        return None

    def domain(self, address: str | None) -> str:
        """By default the realm of a users' file that is there, else this machine's domain, else its address."""
        if self.options.domain is not None:
            return self.asking.given("--domain", self.options.domain, Domain().read)
        suggested = self._realm_there() or socket.gethostname().partition(".")[2] or address
        if self.asking.present:
            return self.asking.ask("Domain that phones and chat clients log in at", Domain().read, suggested)
        if self.asking.suggestions and suggested is not None:
            return suggested
        why = "" if suggested is None else f"; --yes takes {suggested}"
        self.asking.missing.append(f"--domain DOMAIN, what phones log in at{why}")
        return ""

    def _realm_there(self) -> str | None:
        try:
            realm = users.load(self.folder / (self.options.users or USERS)).realm
            return Domain().read(realm)
        except (ConfigErrors, Wrong):
            return None

    def certificate(self, *, chat: bool) -> tuple[str | None, str | None]:
        """File names of certificate and key; both or none."""
        given = self.options.certificate, self.options.key
        if (given[0] is None) != (given[1] is None):
            raise Failure(USAGE, "--certificate and --key belong together; give both")
        if given[0] is not None or not self.asking.present:
            return given
        why = "clients expect one" if chat else "for phones over TLS"
        question = f"Certificate of the proxy (PEM file; {why}), Enter: none"
        certificate = self.asking.ask(question, _or_nothing(self._file))
        if certificate is None:
            return None, None
        return certificate, self.asking.ask("Its private key (PEM file)", self._file)

    def _file(self, text: str) -> str:
        if not text or not os.access(self.folder / text, os.R_OK):
            raise Wrong(f"{self.folder / text} cannot be read" if text else "nothing was written", "write a file name")
        return text

    def media_ports(self, *, sip: bool) -> str:
        """UDP ports."""
        if self.options.media_ports is not None:
            return str(self.asking.given("--media-ports", self.options.media_ports, Ports().read))
        if self.asking.present and sip:
            return str(self.asking.ask("UDP ports for audio and video", Ports().read, str(DEFAULT_PORTS)))
        return str(DEFAULT_PORTS)

    def port(self, flag: str, text: str | None, service: Service, address: str) -> int:
        """Asked for only where somebody else has the usual one."""
        if text is not None:
            return self.asking.given(flag, text, PORT.read)
        usual = Endpoint(service.transport, Address(address, service.port))
        if self.asking.present and (reason := why_taken(usual)) is not None:
            self.asking.say(f"  {reason}")
            return self.asking.ask("Another port for the proxy", PORT.read, str(service.port))
        return service.port

    def users(self, *, sip: bool) -> str | None:
        """The users' file. Chat can do without: then clients prove themselves to their server."""
        if self.options.users is not None or not self.asking.present:
            return self.options.users or (USERS if sip else None)
        if sip:
            return self.asking.ask("File of the users who may register", str, USERS)
        text = self.asking.ask("File of the users (Enter: none, clients prove themselves to their server)", str)
        return text or None

    def first_user(self, draft: Draft) -> Credential | None:
        """For a users' file that is to be made."""
        if not self.asking.present or draft.users is None or (self.folder / draft.users).exists():
            return None
        name = self.asking.ask("First user, e.g. 1001, Enter: none yet", _or_nothing(_user_name))
        while name is not None:
            password = self.asking.password(f"Password of {name}: ")
            credential = Credential(name, draft.domain, password=password)
            try:
                users.check(credential)
            except ValueError as error:
                print(f"  {error}")
                continue
            if self.asking.password("Once more: ") == password:
                return credential
            print("  the two passwords differ")
        return None


def _server(text: str, service: Service, found: Servers, others: Servers) -> tuple[str, str]:
    """A chat server at the address of a SIP server that was given without a name is the same backend."""
    name, endpoint = server(text, service, found)
    if "=" not in text:
        same = [other for other, there in others.items() if _host(there) == _host(endpoint)]
        name = next((other for other in same if other not in found), name)
        if name in others and name not in same:
            name = f"chat{len(found) + 1}"
    return name, endpoint


def _or_nothing(read: Callable[[str], Answer]) -> Callable[[str], Answer | None]:
    return lambda text: read(text) if text else None


def _own_address(text: str) -> str:
    address = Host(wildcard=True).read(text)
    if not is_own(address):
        raise Wrong(f"this machine does not have {address}", "write one it has; a router's is asked for next")
    return address


def _towards_loopback(servers: list[str]) -> str | None:
    """Our address towards servers that are all on this machine's loopback."""
    local = [host for host in map(_host, servers) if host.startswith("127.") or host == "::1"]
    return source_towards(local[0]) if servers and len(local) == len(servers) else None


def _host(endpoint: str) -> str:
    return Place().read(endpoint).address.host


def _user_name(text: str) -> str:
    if not users.USER_NAME.fullmatch(text):
        raise Wrong(f"{text!r} is no user name", "use letters, digits and + * _ . ~ ! -, at most 64")
    return text
