"""Clients that follow a script, word by word, and what they are told in a form that can be compared.

The same script is played straight at a server and through the proxy. Names of users are replaced by their parts (A, B,
...), ids and stamps that somebody made up by what they are, and the order of attributes and children, which means
nothing, is lost.
"""

import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import unified_diff
from pprint import pformat
from xml.etree.ElementTree import Element, fromstring

from slixmpp.xmlstream.stanzabase import StanzaBase

from tests.interop.chat_servers import DOMAIN, ROOMS
from tests.interop.processes import ProcessError, wait_until
from tests.interop.servers import password
from tests.interop.talkers import Talker, Talkers

PARTS = "ABC"
SETTLED = "settled"
PING = "<ping xmlns='urn:xmpp:ping'/>"
INFO = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
ROOM = re.compile(rf"to='([^'/]+@{ROOMS})")
# A word, what the other one's session makes of it, and the author's being told so.
HOPS = 3
KINDS = ("message", "presence", "iq")
# What these clients do without being told: answer pings, and refuse all other questions.
PLUGINS = ("xep_0199",)
ANSWER_SECONDS = 15.0
# COMPAT: ejabberd loses what it is asked of a room in the moment in which the last one leaves it.
ATTEMPTS = 10
# A server that is about to die says that users who are there are not. The proxy waits a moment to see whether it does.
DOUBT_SECONDS = 1.2

# Expanded name, attributes, text, children.
Canonical = tuple[str, tuple[tuple[str, str], ...], str, tuple["Canonical", ...]]


@dataclass(slots=True)
class Told:
    """One stanza that came."""

    xml: str
    name: str
    attributes: dict[str, str]


@dataclass(slots=True, eq=False)
class Actor:
    """One client on stage."""

    part: str
    talker: Talker
    told: list[Told] = field(default_factory=list)
    ended: str = ""  # the stream error it was told
    refused: str = ""  # why it was not logged in
    unanswered: set[str] = field(default_factory=set)  # questions of `Stage.settle`

    @property
    def bare(self) -> str:
        return self.talker.jid

    @property
    def full(self) -> str:
        return self.talker.full


class Stage:
    """Where actors play: straight at a server, or at the proxy."""

    def __init__(self, talkers: Talkers, address: str, users: list[int], doubt: float = 0.0) -> None:
        self._talkers = talkers
        self.address = address
        self._users = users
        self._doubt = doubt
        self._actors: list[Actor] = []
        self._rooms: dict[str, None] = {}  # in which anybody acted
        self._count = 0

    # -- entrances and exits ----------------------------------------------------------------------------

    def enter(self, part: str, resource: str = "home", *, presence: bool = True) -> Actor:
        """Logged in, and available unless told otherwise; what followed from that is forgotten."""
        actor = self.knock(part, resource, presence=presence)
        actor.talker.wait_online()
        self.settle()
        actor.told.clear()
        return actor

    def knock(self, part: str, resource: str = "home", *, secret: str | None = None, presence: bool = True) -> Actor:
        """Try to log in."""
        user = self._users[PARTS.index(part)] if part in PARTS else 4999
        talker = self._talkers.talker(user, resource, self.address, PLUGINS)
        actor = Actor(part, talker)
        self._actors.append(actor)
        client = talker.client
        client.auto_authorize, client.auto_subscribe = None, False
        client.password = password(str(user)) if secret is None else secret
        talker.available = presence
        client.add_filter("in", lambda stanza: self._tell(actor, stanza))
        client.add_event_handler("stream_error", lambda error: setattr(actor, "ended", str(error["condition"])))
        client.add_event_handler("failed_auth", lambda failure: setattr(actor, "refused", str(failure["condition"])))
        talker.connect()
        return actor

    def address_of(self, part: str) -> str:
        """A part's bare address."""
        return f"{self._users[PARTS.index(part)]}@{DOMAIN}"

    def clear(self) -> None:
        """Everybody leaves."""
        for actor in self._actors:
            if actor.talker.online:
                actor.talker.leave()
            else:
                actor.talker.cut()
        self._actors.clear()

    # -- lines ------------------------------------------------------------------------------------------

    def say(self, actor: Actor, line: str) -> None:
        """Send this. `{A}` and so on stand for users' bare addresses, `{DOMAIN}` for the domain."""
        self._rooms.update(dict.fromkeys(ROOM.findall(line)))
        self._talkers.call(lambda: actor.talker.client.send_raw(self._filled(line)))

    def ask(self, actor: Actor, payload: str, to: str = "", kind: str = "get") -> Canonical:
        """An iq and its answer."""
        self._count += 1
        name = f"ask{self._count}"
        addressed = f" to='{to}'" if to else ""
        self.say(actor, f"<iq type='{kind}' id='{name}'{addressed}>{payload}</iq>")
        return self.wait(actor, lambda told: told.attributes.get("id") == name)

    def wait(self, actor: Actor, wanted: Callable[[Told], bool]) -> Canonical:
        """The first stanza that is as wanted."""
        wait_until(lambda: any(map(wanted, actor.told)), ANSWER_SECONDS, f"{actor.part} is told; got {actor.told}")
        return self.canonical(next(told for told in actor.told if wanted(told)).xml)

    def settle(self) -> None:
        """Until everybody has been told what there is to tell: servers handle what one client sends in order, and tell
        another one of it before they answer a later question of its own. So do rooms, each for itself.
        """
        for _ in range(HOPS):
            self._settle_once()

    def _settle_once(self) -> None:
        online = [actor for actor in self._actors if actor.talker.online]

        def settled() -> bool:
            return not any(actor.unanswered for actor in online if actor.talker.online)

        for _ in range(ATTEMPTS):
            for actor in online:
                self._question(actor)
            with suppress(ProcessError):
                wait_until(settled, ANSWER_SECONDS / ATTEMPTS, "everybody settles")
                return
        raise ProcessError(f"not answered: {[(actor.part, actor.unanswered) for actor in online]}")

    def _question(self, actor: Actor) -> None:
        actor.unanswered.clear()
        for place in (DOMAIN, *self._rooms):
            self._count += 1
            name = f"{SETTLED}{self._count}"
            actor.unanswered.add(name)
            self.say(actor, f"<iq type='get' id='{name}' to='{place}'>{PING if place == DOMAIN else INFO}</iq>")

    def pause(self) -> None:
        """Longer than it is doubted here what a server says of somebody who is there."""
        time.sleep(self._doubt)

    def heard(self, actor: Actor, *names: str) -> list[Canonical]:
        """All that it was told meanwhile, of these kinds (all), in an order that does not depend on chance."""
        self.settle()
        told = [one for one in actor.told if one.name in (names or KINDS)]
        actor.told.clear()
        return sorted(self.canonical(one.xml) for one in told)

    def wait_ended(self, actor: Actor) -> str:
        """The stream error it was told."""
        wait_until(lambda: bool(actor.ended) and not actor.talker.online, ANSWER_SECONDS, f"{actor.part} is put out")
        return actor.ended

    def wait_refused(self, actor: Actor) -> str:
        """Why it was not logged in."""
        wait_until(lambda: bool(actor.refused), ANSWER_SECONDS, f"{actor.part} is refused")
        return actor.refused

    # -- comparing --------------------------------------------------------------------------------------

    def canonical(self, xml: str) -> Canonical:
        """See the module."""
        element = fromstring(self._named(xml))
        if element.tag == "presence":  # a server may write either address of the recipient
            element.attrib["to"] = element.attrib.get("to", "").partition("/")[0]
        return _canonical(element)

    def _named(self, text: str) -> str:
        for part, user in zip(PARTS, self._users, strict=False):
            text = text.replace(str(user), part)
        return text

    def _filled(self, line: str) -> str:
        return line.format(DOMAIN=DOMAIN, **{p: f"{u}@{DOMAIN}" for p, u in zip(PARTS, self._users, strict=False)})

    def _tell(self, actor: Actor, stanza: StanzaBase) -> StanzaBase:
        name = str(stanza.xml.get("id"))
        if name.startswith(SETTLED):
            actor.unanswered.discard(name)
        elif stanza.name in KINDS:
            actor.told.append(Told(str(stanza), stanza.name, dict(stanza.xml.attrib)))
        return stanza


# Attributes and elements with nothing but chance or time in them.
OURS = re.compile(r"[a-z]{1,8}\d?")
STAMPS = frozenset({"stamp", "ver", "h", "utc"})


def _canonical(element: Element) -> Canonical:
    attributes = tuple(
        sorted(
            (name, "..." if name in STAMPS or (name == "id" and not OURS.fullmatch(value)) else value)
            for name, value in element.attrib.items()
        )
    )
    text = (element.text or "").strip()
    children = tuple(sorted(_canonical(child) for child in element))
    return element.tag, attributes, text, children


def error_of(answer: Canonical) -> str:
    """The condition in an error that came as an answer; empty when it is none."""
    for tag, _, _, children in answer[3]:
        if tag.endswith("error"):
            return next(child[0].rpartition("}")[2] for child in children if "stanzas" in child[0])
    return ""


def difference(straight: object, through: object) -> str:
    """For a failure's message."""
    before, after = (pformat(each, width=160).splitlines() for each in (straight, through))
    return "\n".join(unified_diff(before, after, "straight", "through the proxy", lineterm="", n=2))
