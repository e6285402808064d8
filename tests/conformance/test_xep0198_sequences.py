"""XEP-0198 in any order: whatever a client enables, acknowledges, asks and resumes, with whatever numbers, the answer
is the one of the book, and each message arrives once and in order.

What is expected is reckoned here, from the specification, beside the proxy. Messages go both ways, connections break,
servers die; counts begin at zero or close before 2**32.
"""

from __future__ import annotations

import re
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from haproxy_voip.proxy.chat.session import Session
from haproxy_voip.xmpp.client_stream import TlsPolicy
from haproxy_voip.xmpp.framing import Stanza, StreamFramer
from haproxy_voip.xmpp.management import WRAP
from tests.conformance.talker import HEADER, SM, Talker, bind, stage_with_tls

NONSENSE = ("", "-1", "x", "1.5", " 1", str(WRAP), "9" * 40)
ADDRESS = "carol@chat.test/home"
_BODY = re.compile(rb"<body>(.*?)</body>")

distance = st.sampled_from([1, 2, 3, 1_000, WRAP // 2, WRAP - 10_000])


class Sequences(RuleBasedStateMachine):
    """Carol's client, and what it may expect."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = stage_with_tls()
        self.bob = self.stage.client("bob", tls=TlsPolicy.REQUIRED)
        self.talker: Talker | None = None
        self.bound = self.managed = False
        self.name: str | None = None  # of a session that can be resumed
        self.said = 0  # messages of carol's, in all
        self.sent = 0  # stanzas of carol's that count
        self.acknowledged = 0  # by the proxy, of those
        self.had: list[Stanza] = []  # stanzas that count and came, all of this session
        self.confirmed = 0  # so many of those are acknowledged
        self.for_carol: list[str] = []  # said to this session
        self.stale: set[str] = set()  # said to one before it
        self.written = 0
        self.base = 0
        self.down = self.lost = False  # no server is up; a session ended then

    @initialize(base=st.sampled_from([0, 0, WRAP - 3]))
    def begin(self, base: int) -> None:
        self.base = base

    # -- connections --------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        return self.talker is not None and not self.talker.ended and not self.talker.cut

    def connect(self) -> Talker:
        talker = Talker.logged_in(self.stage, "carol")
        self.heard_up_to, self.framer = len(talker.said), StreamFramer()
        self.framer.feed(HEADER.encode())
        return talker

    def listen(self) -> list[Stanza]:
        """What came on the connection since: nonzas are given back, stanzas that count are kept."""
        assert self.talker is not None
        new = bytes(self.talker.said[self.heard_up_to :])
        self.heard_up_to += len(new)
        nonzas = []
        for item in self.framer.feed(new):
            if isinstance(item, Stanza) and item.is_stanza:
                self.had.append(item)
            elif isinstance(item, Stanza) and item.name == "a":
                self.acknowledged_so_far(int(item.attributes["h"]))
                nonzas.append(item)
            elif isinstance(item, Stanza):
                nonzas.append(item)
        return nonzas

    def acknowledged_so_far(self, h: int) -> None:
        count = (h - self.base) % WRAP
        assert self.acknowledged <= count <= self.sent, (count, self.acknowledged, self.sent)
        self.acknowledged = count

    def over(self) -> None:
        """The session is gone, and with it everything counted."""
        self.lost = self.lost or self.down  # what waited for a server goes with it
        self.bound = self.managed = False
        self.name = None
        self.sent = self.acknowledged = self.confirmed = 0
        self.stale.update(self.for_carol)
        self.had, self.for_carol = [], []

    def says(self, words: str) -> list[str]:
        """The names of the nonzas that answer it."""
        assert self.talker is not None
        self.talker.says(words)
        return [nonza.name for nonza in self.listen()]

    def must_have_ended(self, condition: str) -> None:
        assert self.talker is not None and self.talker.condition == condition

    @property
    def session(self) -> Session | None:
        return self.stage.chat.shared.sessions.by_jid.get(ADDRESS)

    # -- rules: a session ---------------------------------------------------------------------------

    @precondition(lambda self: not self.connected and self.name is None and not self.down)
    @rule()
    def log_in_and_bind(self) -> None:
        self.over()
        self.talker = self.connect()
        self.says(bind("home"))
        self.had.clear()
        self.bound = True

    @precondition(lambda self: self.connected and self.bound)
    @rule(resume=st.sampled_from(["true", "1", "true", "true", "false", "perhaps"]))
    def enable(self, resume: str) -> None:
        answer = self.says(f"<enable {SM} resume='{resume}'/>")
        if self.managed:
            assert answer == ["failed"]
            return
        assert answer == ["enabled"] and self.session is not None
        traffic = self.session.traffic
        assert traffic.received is not None and traffic.incoming.unacknowledged is not None
        self.managed, self.sent, self.had = True, 0, []
        if resume in ("true", "1"):
            self.name = re.findall(rb"<enabled [^>]*\bid='([^']+)'", self.talker.said)[-1].decode()  # type: ignore[union-attr]
        traffic.received.count = traffic.received.handled = self.base
        traffic.incoming.unacknowledged.acknowledged = self.base

    # -- rules: traffic -----------------------------------------------------------------------------

    @precondition(lambda self: self.connected and self.bound)
    @rule()
    def say(self) -> None:
        self.said += 1
        self.sent += self.managed
        self.says(f"<message to='{self.bob.jid}' id='c{self.said}'><body>{self.said}</body></message>")

    @precondition(lambda self: self.bound)
    @rule()
    def be_told(self) -> None:
        if self.session is None:
            return
        self.written += 1
        self.for_carol.append(str(self.written))
        self.bob.say(ADDRESS, str(self.written))
        if self.connected:
            self.listen()

    @precondition(lambda self: self.connected and self.bound)
    @rule(times=st.integers(1, 3))
    def request(self, times: int) -> None:
        answers = self.says(f"<r {SM}/>" * times)
        wanted = "a" if self.managed else "failed"
        assert answers.count(wanted) >= times, answers

    @precondition(lambda self: self.connected and self.managed)
    @rule(share=st.floats(0, 1))
    def acknowledge(self, share: float) -> None:
        self.confirmed += int((len(self.had) - self.confirmed) * share)
        self.says(f"<a {SM} h='{(self.base + self.confirmed) % WRAP}'/>")
        assert self.connected

    @precondition(lambda self: self.connected and self.managed)
    @rule(beyond=distance)
    def acknowledge_too_much(self, beyond: int) -> None:
        """Or less than before, which is the same modulo 2**32."""
        self.says(f"<a {SM} h='{(self.base + len(self.had) + beyond) % WRAP}'/>")
        self.must_have_ended("undefined-condition")
        self.over()

    @precondition(lambda self: self.connected and self.managed)
    @rule(h=st.sampled_from(NONSENSE))
    def acknowledge_nonsense(self, h: str) -> None:
        self.says(f"<a {SM} h='{h}'/>")
        self.must_have_ended("bad-format")
        self.over()

    @precondition(lambda self: self.connected and self.bound)
    @rule(words=st.sampled_from([f"<resume {SM} previd='x' h='0'/>", f"<resumed {SM} previd='x' h='0'/>"]))
    def resume_out_of_place(self, words: str) -> None:
        assert "failed" in self.says(words) and self.connected

    # -- rules: the end of connections --------------------------------------------------------------

    @precondition(lambda self: self.connected and self.bound)
    @rule()
    def break_off(self) -> None:
        assert self.talker is not None
        self.talker.breaks_off()
        if self.name is None:
            self.over()

    @precondition(lambda self: self.connected)
    @rule()
    def close(self) -> None:
        self.says("</stream:stream>")
        assert self.talker is not None and self.talker.ended and self.session is None
        self.over()

    @precondition(lambda self: self.name is not None)
    @rule(lost=st.integers(0, 3))
    def resume(self, lost: int) -> None:
        """The last ones may never have reached the client."""
        before, was_connected = self.talker, self.connected
        kept = max(self.confirmed, len(self.had) - lost)
        del self.had[kept:]
        self.confirmed = kept
        self.talker = self.connect()
        answer = self.says(f"<resume {SM} previd='{self.name}' h='{(self.base + kept) % WRAP}'/>")
        assert answer[:1] == ["resumed"], answer
        assert f" h='{(self.base + self.sent) % WRAP}'".encode() in self.talker.said.rpartition(b"<resumed")[2]
        assert before is not None and (not was_connected or before.condition == "conflict")

    @precondition(lambda self: self.name is not None)
    @rule(beyond=distance)
    def resume_with_too_much(self, beyond: int) -> None:
        """Nobody loses the session by it: neither who has it nor who may come back."""
        session = self.session
        assert session is not None and session.traffic.incoming.unacknowledged is not None
        sent, was_connected = session.traffic.incoming.unacknowledged.sent, self.connected
        stranger = Talker.logged_in(self.stage, "carol")
        stranger.says(f"<resume {SM} previd='{self.name}' h='{(sent + beyond) % WRAP}'/>")
        assert stranger.condition == "undefined-condition" and self.session is session
        assert self.connected is was_connected

    @precondition(lambda self: not self.down or self.name is not None)
    @rule(h=st.sampled_from((*NONSENSE, "0", "7")), with_name=st.booleans())
    def resume_nonsense(self, h: str, with_name: bool) -> None:
        if with_name and (self.name is None or h in ("0", "7")):
            return
        stranger = Talker.logged_in(self.stage, "carol")
        told = stranger.says(f"<resume {SM} previd='{self.name if with_name else 'unheard-of'}' h='{h}'/>")
        assert told.startswith(b"<failed ") and not stranger.ended
        stranger.says("</stream:stream>")

    # -- rules: what else happens -------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.1, 2.0, 10.0]))
    def wait(self, seconds: float) -> None:
        away = self.name is not None and not self.connected
        self.stage.run(seconds if not away else min(seconds, 5.0))
        if self.connected:
            self.listen()

    @precondition(lambda self: self.bound and not self.down)
    @rule(words=st.integers(0, 3), breaks=st.booleans())
    def all_servers_die(self, words: int, breaks: bool) -> None:
        """What clients say waits here, also for who breaks off meanwhile."""
        self.down = True
        for name in self.stage.servers:
            self.stage.kill(name)
        for _ in range(words):
            if self.connected:
                self.say()
        if breaks and self.connected:
            self.break_off()

    @precondition(lambda self: self.down)
    @rule(name=st.sampled_from(["alpha", "beta"]))
    def one_is_back(self, name: str) -> None:
        self.down = False
        self.stage.revive(name)
        if self.connected:
            self.listen()

    @precondition(lambda self: self.bound and not self.down)
    @rule()
    def a_server_dies(self) -> None:
        if self.session is None or self.session.residence.backend is None:
            return
        name = self.session.residence.backend
        self.stage.kill(name)
        self.stage.run(1.0)
        self.stage.revive(name)
        if self.connected:
            self.listen()

    # -- always -------------------------------------------------------------------------------------

    @invariant()
    def bob_heard_everything_once_and_in_order(self) -> None:
        heard, said = self.bob.said(), [str(number) for number in range(1, self.said + 1)]
        if self.lost:
            assert heard == sorted(set(heard), key=int)
        else:
            assert heard == (said[: len(heard)] if self.down else said)

    @invariant()
    def carol_heard_in_order_and_nothing_twice(self) -> None:
        if not self.managed:
            return
        heard = [one.decode() for stanza in self.had for one in _BODY.findall(stanza.raw)]
        heard = [one for one in heard if one not in self.stale]
        meant = self.for_carol[-len(heard) :] if heard else []
        assert heard == sorted(set(heard), key=int), heard
        if self.connected and not self.down:
            assert heard == meant, (heard, self.for_carol)

    @invariant()
    def there_is_one_session_at_most_and_none_without_a_reason(self) -> None:
        assert len(self.stage.chat.shared.sessions.of("carol@chat.test")) == int(self.bound)

    def teardown(self) -> None:
        if self.down:
            self.one_is_back("alpha")
        if self.name is not None:
            self.resume(0)
            self.carol_heard_in_order_and_nothing_twice()


Sequences.TestCase.settings = settings(
    max_examples=15,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),  # a failure prints its steps; making them fewer takes minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestSequences: Any = Sequences.TestCase
