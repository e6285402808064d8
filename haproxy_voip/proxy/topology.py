"""What of a message crosses from one leg to the other, and in which words.

The two legs are separate dialogs, so what belongs to a dialog or to a hop never crosses. What does cross goes
as it came, but for the few headers that name a dialog or an address of the other side: no backend address
reaches a client, no client address a backend.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import quote, unquote

from haproxy_voip.core.address import bracketed
from haproxy_voip.proxy.leg import Legs, Side
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.headers import NameAddr, Replaces
from haproxy_voip.sip.message import Header, Message, header

# These belong to one hop or one dialog; each leg writes its own.
OF_ONE_LEG = frozenset(
    {
        "via", "from", "to", "call-id", "cseq", "contact", "route", "record-route", "max-forwards", "content-length",
        "authorization", "proxy-authorization", "www-authenticate", "proxy-authenticate", "authentication-info",
        "proxy-authentication-info", "proxy-require", "path", "service-route", "rseq", "rack", "flow-timer",
        "p-associated-uri", "identity",
    }
)  # fmt: skip
DIALOG_NAMES = frozenset({"replaces", "refer-to", "target-dialog", "join"})
# Never touch the text of these: they are long, frequent and name no address.
PLAIN = frozenset(
    {"allow", "supported", "user-agent", "server", "require", "content-type", "accept", "session-expires"}
)

REPLACES_IN_URI = re.compile(r"(?i)(?<=[?&])replaces=([^&>]*)")


class Topology:
    """Translates what crosses. `hide` hosts are those of the side the message came from."""

    def __init__(self, domain: str, own_hosts: frozenset[str], backend_hosts: tuple[str, ...], legs: Legs) -> None:
        self.domain = domain
        self._own = own_hosts
        self._legs = legs
        self._backend_hosts = tuple(host for host in backend_hosts if host not in own_hosts)
        self._local_hosts = own_hosts | set(backend_hosts)

    def hidden(self, side: Side, hosts: tuple[str, ...]) -> tuple[str, ...]:
        """The hosts to hide of what comes from this side; for clients they are given, as they differ by client."""
        if side is Side.BACKEND:
            return self._backend_hosts
        return tuple(host for host in dict.fromkeys(hosts) if host not in self._local_hosts)

    def carried(self, message: Message, hide: tuple[str, ...]) -> list[Header]:
        """The headers that cross, translated where they must be."""
        kept: list[Header] = []
        for item in message.headers:
            name = item[0]
            if name in OF_ONE_LEG:
                continue
            if name in PLAIN:
                kept.append(item)
            elif name in DIALOG_NAMES:
                kept.append(header(name, self.scrubbed(self._across(name, item[1]), hide)))
            else:
                line = self.scrubbed(item[2], hide)
                kept.append(item if line is item[2] else header(name, line.partition(":")[2].strip()))
        return kept

    def body(self, message: Message, hide: tuple[str, ...]) -> bytes:
        """A body that is not SDP, without the hosts to hide (dialog-info, message-summary, sipfrag)."""
        body = message.body
        if not body:
            return body
        for host in hide:
            if host.encode() in body:
                body = (
                    _host_pattern(host, with_port=True)
                    .sub(self.domain, body.decode("utf-8", "surrogateescape"))
                    .encode("utf-8", "surrogateescape")
                )
        return body

    def identity(self, party: NameAddr, user: str | None = None) -> str:
        """A From or To of ours without tag: display name and user as they came, in our domain.

        Foreign domains stay; `user` replaces an opaque user part by the name people know.
        """
        uri = party.uri
        host = uri.host
        name = user if user is not None else uri.user
        if user is not None or host in self._local_hosts or _is_literal(host):
            host = self.domain
        text = f"<sip:{name}@{bracketed(host)}>" if name else f"<sip:{bracketed(host)}>"
        if uri.scheme == "tel":
            text = f"<{uri}>"
        return f"{party.display} {text}" if party.display else text

    def scrubbed(self, text: str, hide: tuple[str, ...]) -> str:
        """The text with each hidden host replaced by our domain; the very same object when there is none."""
        for host in hide:
            if host in text:
                text = _host_pattern(host, with_port=True).sub(self.domain, text)
        return text

    def _across(self, name: str, value: str) -> str:
        if name == "refer-to":
            return REPLACES_IN_URI.sub(self._replaces_in_uri, value)
        if name == "replaces":
            return self._replaces(value)
        return value

    def _replaces_in_uri(self, found: re.Match[str]) -> str:
        return "Replaces=" + quote(self._replaces(unquote(found[1])), safe="-_.!~*'()[]/?:+$")

    def _replaces(self, value: str) -> str:
        """The dialog as the other side names it; one that is not ours is left for whoever knows it."""
        try:
            across = self._legs.across(Replaces.parse(value))
        except MessageError:
            return value  # the recipient says what is wrong with it
        return value if across is None else str(across)


@lru_cache(maxsize=4096)
def _host_pattern(host: str, with_port: bool) -> re.Pattern[str]:
    port = r"(?::\d{1,5})?" if with_port else ""
    text = rf"\[{re.escape(host)}\]" if ":" in host else re.escape(host)
    if ":" in host:
        text = rf"(?:{text}|{re.escape(host)})"
    return re.compile(rf"(?<![\w.:-]){text}(?![\w-]|\.\d){port}")


def _is_literal(host: str) -> bool:
    """Whether a URI's host is an address rather than a name: such a host says nothing outside its network."""
    return ":" in host or host.replace(".", "").isdigit()
