"""A first configuration, from the little that must be known: what `init` writes."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from haproxy_voip.configuration.kinds import Place, Wrong
from haproxy_voip.configuration.model import DEFAULT_PORTS
from haproxy_voip.configuration.names import mistake_in_name
from haproxy_voip.core.address import Address, Transport, bracketed, is_name

# What servers are called that were given without a name.
NAMES = ("alpha", "beta", "charlie", "delta", "echo", "foxtrot", "golf", "hotel")
SIP_PORT, SIP_TLS_PORT = 5060, 5061
CHAT_PORT, CHAT_TLS_PORT = 5222, 5223
COMMENT_COLUMN = 40
PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9._/-]*")


@dataclass(frozen=True, slots=True)
class Service:
    """What is spoken: the key of a backend, and what is meant where an address says no more."""

    key: str
    transport: Transport
    port: int
    tls_port: int


SIP = Service("sip", Transport.UDP, SIP_PORT, SIP_TLS_PORT)
CHAT = Service("xmpp", Transport.TCP, CHAT_PORT, CHAT_TLS_PORT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What was asked for. Endpoints are as a configuration has them, file names relative to its folder."""

    domain: str
    addresses: tuple[str, ...]  # of the proxy
    advertise: str | None = None  # what others are told instead
    sip: Mapping[str, str] = field(default_factory=dict)  # backend -> endpoint, in order of preference
    chat: Mapping[str, str] = field(default_factory=dict)
    sip_port: int = SIP_PORT  # the next one is for TLS
    chat_port: int = CHAT_PORT
    media_ports: str = str(DEFAULT_PORTS)
    certificate: str | None = None
    key: str | None = None
    users: str | None = None
    control: str | None = None

    @property
    def sip_listeners(self) -> list[str]:
        """Where phones call."""
        return self._listeners(("udp", "tcp"), self.sip_port) if self.sip else []

    @property
    def chat_listeners(self) -> list[str]:
        """Where clients chat."""
        return self._listeners(("tcp",), self.chat_port) if self.chat else []

    def _listeners(self, transports: tuple[str, ...], port: int) -> list[str]:
        ports = [(transport, port) for transport in transports]
        if self.certificate is not None:
            ports.append(("tls", port + 1))
        return [f"{transport}:{Address(host, port)}" for host in self.addresses for transport, port in ports]


def server(text: str, service: Service, taken: Mapping[str, str]) -> tuple[str, str]:
    """Name and endpoint of a backend written as `alpha=udp:10.0.0.11:5060`, or as little as its address or host.

    `taken` are those before it. Raises Wrong.
    """
    name, equals, rest = text.strip().rpartition("=")
    if not equals:
        name = next((free for free in NAMES if free not in taken), f"backend{len(taken) + 1}")
    name, rest = name.strip(), rest.strip()
    if problem := mistake_in_name(name):
        raise Wrong(*problem)
    if name in taken:
        raise Wrong(f"{name} is {taken[name]} already", "give each server a name of its own")
    endpoint = _completed(rest, service)
    Place().read(endpoint)
    return name, endpoint


def _completed(text: str, service: Service) -> str:
    """With transport and port; a host name without a port has it looked up."""
    transport, colon, rest = text.partition(":")
    if not colon or transport not in tuple(Transport) or _is_address(text):
        transport, rest = service.transport, text
    if _is_address(rest.removeprefix("[").removesuffix("]")):
        rest = bracketed(rest.removeprefix("[").removesuffix("]"))
    elif ":" in rest or is_name(rest):
        return f"{transport}:{rest}"
    return f"{transport}:{rest}:{service.tls_port if transport == Transport.TLS else service.port}"


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def written(draft: Draft, name: str) -> str:
    """The configuration as YAML; `name` is what its file is called."""
    lines = [
        "# Made by `haproxy-voip init`. Every key there is: docs/CONFIGURATION.md.",
        f"#   haproxy-voip check {name}     says what is wrong with it",
        f"#   haproxy-voip run -c {name}    starts the proxy",
        "",
        *_proxy(draft),
        "",
    ]
    if draft.users is not None:
        lines += [_noted(f"users: {_quoted(draft.users)}", f"who may register: haproxy-voip users add NAME -c {name}")]
        lines.append("")
    lines += [_noted("backends:", "in order of preference: the first one that is up has everything")]
    for backend in {**draft.sip, **draft.chat}:
        speaks = [("sip", draft.sip), ("xmpp", draft.chat)]
        inside = ", ".join(f"{key}: {_quoted(where[backend])}" for key, where in speaks if backend in where)
        lines.append(f"  {backend}: {{{inside}}}")
    if draft.chat:
        lines.append("  # Chat servers must show certificates that this machine trusts. Where they do not, tell with")
        lines.append("  # `tls: {ca: FILE}` beside `xmpp:` whom to believe, or with `tls: {verify: false}` not to ask.")
    if draft.sip:
        ports = _noted(f"  ports: {draft.media_ports}", "UDP, four for each call; open them in the firewall")
        lines += ["", "media:", ports]
    if draft.control is not None:
        lines += ["", _noted(f"control: {_quoted(draft.control)}", "status, drain, switch and others speak through it")]
    return "\n".join(lines) + "\n"


def _proxy(draft: Draft) -> list[str]:
    lines = ["proxy:", _noted(f"  domain: {_quoted(draft.domain)}", "phones and chat clients log in at this domain")]
    if draft.advertise is not None:
        lines.append(_noted(f"  advertise: {_quoted(draft.advertise)}", "the address others are told to send to"))
    if draft.sip:
        lines += ["  sip:", _noted("    listen:", "where phones and the servers reach the proxy")]
        lines += [f"      - {_quoted(endpoint)}" for endpoint in draft.sip_listeners]
    if draft.chat:
        lines += ["  xmpp:", _noted("    listen:", "where chat clients reach it")]
        lines += [f"      - {_quoted(endpoint)}" for endpoint in draft.chat_listeners]
        if draft.certificate is None:
            lines.append(_noted("    starttls: optional", "without a certificate; then chats can be read on the way"))
    if draft.certificate is not None and draft.key is not None:
        lines.append(f"  tls: {{certificate: {_quoted(draft.certificate)}, key: {_quoted(draft.key)}}}")
    return lines


def _noted(text: str, comment: str) -> str:
    return f"{text.ljust(COMMENT_COLUMN)}  # {comment}"


def _quoted(text: str) -> str:
    """JSON's strings are YAML's. Plain words do without quotes."""
    return text if PLAIN.fullmatch(text) and text != "null" else json.dumps(text, ensure_ascii=False)
