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
from haproxy_voip.sip.grammar import quote as quoted
from haproxy_voip.sip.headers import NameAddr, Replaces
from haproxy_voip.sip.message import Header, Message, header

# Put into the INVITE to a backend, and found in its INVITE to the callee where the backend is a proxy: then the two
# calls are one conversation (pairing.py). It crosses no further.
TOKEN_HEADER = "x-haproxy-voip-call"
# Put into the INVITE to a backend: the trunk that it came over. A client's own header of this name goes no further.
TRUNK_HEADER = "x-haproxy-voip-trunk"
# These belong to one hop or one dialog; each leg writes its own.
OF_ONE_LEG = frozenset(
    {
        "via", "from", "to", "call-id", "cseq", "contact", "route", "record-route", "max-forwards", "content-length",
        "authorization", "proxy-authorization", "www-authenticate", "proxy-authenticate", "authentication-info",
        "proxy-authentication-info", "proxy-require", "path", "service-route", "rseq", "rack", "flow-timer",
        "p-associated-uri", "identity", TOKEN_HEADER, TRUNK_HEADER,
    }
)  # fmt: skip
DIALOG_NAMES = frozenset({"replaces", "refer-to", "target-dialog", "join"})
# Who somebody is by the word of a network that is trusted (RFC 3325), and its forerunner.
ASSERTED = frozenset({"p-asserted-identity", "remote-party-id"})
# Never touch the text of these: they are long, frequent and name no address.
PLAIN = frozenset(
    {"allow", "supported", "user-agent", "server", "require", "content-type", "accept", "session-expires"}
)

REPLACES_IN_URI = re.compile(r"(?i)(?<=[?&])(replaces|join)=([^&>]*)")
DIALOG_INFO = "application/dialog-info+xml"  # RFC 4235
DIALOG_ELEMENT = re.compile(r"<dialog\s[^>]*>")
DIALOG_ATTRIBUTE = re.compile(r"""(?<=\s)(call-id|local-tag|remote-tag)\s*=\s*(["'])(.*?)\2""")
# A dialog named by Target-Dialog, in the words of Replaces: to-tag is the recipient's.
TARGET_TO_REPLACES = {"local-tag": "from-tag", "remote-tag": "to-tag"}
REPLACES_TO_TARGET = {"from-tag": "local-tag", "to-tag": "remote-tag"}
TAGS_OF_TARGET = re.compile(r"(?i)(?:local|remote)-tag(?=\s*=)")
TAGS_OF_REPLACES = re.compile(r"(?:from|to)-tag(?==)")


class Topology:
    """Translates what crosses. `hide` hosts are those of the side the message came from."""

    def __init__(self, domain: str, own_hosts: frozenset[str], backend_hosts: tuple[str, ...], legs: Legs) -> None:
        self.domain = domain
        self._legs = legs
        self.relocate(own_hosts, backend_hosts)

    def relocate(self, own_hosts: frozenset[str], backend_hosts: tuple[str, ...]) -> None:
        """These are our hosts and those of backends from now on."""
        self._own = own_hosts
        self._backend_hosts = tuple(host for host in backend_hosts if host not in own_hosts)
        self._local_hosts = own_hosts | set(backend_hosts)

    def hidden(self, side: Side, hosts: tuple[str, ...]) -> tuple[str, ...]:
        """The hosts to hide of what comes from this side; for clients they are given, as they differ by client."""
        if side is Side.BACKEND:
            return self._backend_hosts
        # A name without a dot (Via of some phones) says nothing elsewhere, and may be any word of a header.
        telling = [host for host in dict.fromkeys(hosts) if "." in host or ":" in host]
        return tuple([host for host in telling if host not in self._local_hosts])

    def carried(
        self, message: Message, hide: tuple[str, ...], trusted: bool = True, inside: bool = False
    ) -> list[Header]:
        """The headers that cross, translated where they must be.

        RFC 3325 section 5: who is not trusted cannot assert an identity, and one that shall be private is told to
        nobody outside. `inside`: the recipient is a carrier, which needs the identity and keeps it private.
        """
        kept: list[Header] = []
        secret = "id" in (message.get("privacy") or "").lower().replace(" ", "").split(";")
        private = not trusted or (secret and not inside)
        for item in message.headers:
            name = item[0]
            if name in OF_ONE_LEG or (private and name in ASSERTED):
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
        if message.content_type == DIALOG_INFO:
            text = body.decode("utf-8", "surrogateescape")
            body = DIALOG_ELEMENT.sub(self._dialog_element, text).encode("utf-8", "surrogateescape")
        return self.without_hosts(body, hide)

    def without_hosts(self, body: bytes, hide: tuple[str, ...]) -> bytes:
        """These bytes with each hidden host replaced by our domain."""
        for host in hide:
            if host.encode() in body:
                text = body.decode("utf-8", "surrogateescape")
                body = _host_pattern(host).sub(self.domain, text).encode("utf-8", "surrogateescape")
        return body

    def identity(self, party: NameAddr, user: str | None = None, domain: str | None = None) -> str:
        """A From or To of ours without tag: display name and user as they came, in our domain, or in `domain`.

        Foreign domains stay; `user` replaces an opaque user part by the name people know.
        """
        uri = party.uri
        host = uri.host
        name = user if user is not None else uri.user
        if user is not None or host in self._local_hosts or _is_literal(host):
            host = domain or self.domain
        phone = ";user=phone" if uri.param("user") == "phone" else ""
        text = f"<sip:{name}@{bracketed(host)}{phone}>" if name else f"<sip:{bracketed(host)}>"
        if not uri.is_sip:
            text = f"<{uri}>"
        return f"{quoted(party.display)} {text}" if party.display else text

    def scrubbed(self, text: str, hide: tuple[str, ...]) -> str:
        """The text with each hidden host replaced by our domain; the very same object when there is none."""
        for host in hide:
            if host in text:
                text = _host_pattern(host).sub(self.domain, text)
        return text

    def _across(self, name: str, value: str) -> str:
        if name == "refer-to":
            return REPLACES_IN_URI.sub(self._replaces_in_uri, value)
        if name == "target-dialog":
            return self._target_dialog(value)
        return self._replaces(value)

    def _replaces_in_uri(self, found: re.Match[str]) -> str:
        return f"{found[1]}=" + quote(self._replaces(unquote(found[2])), safe="-_.!~*'()[]/?:+$")

    def _replaces(self, value: str) -> str:
        """The dialog as the other side names it; one that is not ours is left for whoever knows it."""
        try:
            across = self._legs.across(Replaces.parse(value))
        except MessageError:
            return value  # the recipient says what is wrong with it
        return value if across is None else str(across)

    def _target_dialog(self, value: str) -> str:
        """RFC 4538 section 7: the tags are called local and remote, as the sender of the request sees them."""
        there = TAGS_OF_TARGET.sub(lambda found: TARGET_TO_REPLACES[found[0].lower()], value)
        across = self._replaces(there)
        return value if across == there else TAGS_OF_REPLACES.sub(lambda found: REPLACES_TO_TARGET[found[0]], across)

    def _dialog_element(self, found: re.Match[str]) -> str:
        """RFC 4235 section 4.1.1: local is the user agent that is watched."""
        element = found[0]
        names = {name: value for name, _, value in DIALOG_ATTRIBUTE.findall(element)}
        if len(names) < len(REPLACES_TO_TARGET) + 1:
            return element
        named = Replaces(names["call-id"], names["local-tag"], names["remote-tag"])
        across = self._legs.across(named)
        if across is None:
            return element
        values = {"call-id": across.call_id, "local-tag": across.to_tag, "remote-tag": across.from_tag}
        return DIALOG_ATTRIBUTE.sub(lambda one: f"{one[1]}={one[2]}{values[one[1]]}{one[2]}", element)


@lru_cache(maxsize=4096)
def _host_pattern(host: str) -> re.Pattern[str]:
    """The host where it stands alone, with the port that follows it."""
    text = re.escape(host)
    if ":" in host:
        return re.compile(rf"\[{text}\](?::\d{{1,5}})?|(?<![\w.:-]){text}(?![\w.:-])")
    return re.compile(rf"(?<![\w.-]){text}(?![\w-]|\.\d)(?::\d{{1,5}})?")


def _is_literal(host: str) -> bool:
    """Whether a URI's host is an address rather than a name: such a host says nothing outside its network."""
    return ":" in host or host.replace(".", "").isdigit()
