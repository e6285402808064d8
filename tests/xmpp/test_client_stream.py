"""The stream to a backend, as its client (RFC 6120 sections 4 to 7)."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from haproxy_voip.core.chance import Chance
from haproxy_voip.xmpp.client_stream import (
    Authenticated,
    ClientOutput,
    ClientStream,
    Login,
    LoginFailed,
    Ready,
    Resumed,
    ResumeFailed,
    State,
    TlsPolicy,
)
from haproxy_voip.xmpp.errors import StreamCondition, StreamError
from haproxy_voip.xmpp.framing import Whitespace
from haproxy_voip.xmpp.management import Enabled, Failed, Resume
from haproxy_voip.xmpp.outputs import Ended, StartTls, TlsInfo, Write
from haproxy_voip.xmpp.sasl.ladder import ByImpersonation, ByPassword
from tests.xmpp.clients import JULIET
from tests.xmpp.samples import MESSAGE, PRESENCE, raws

FULL = JULIET.with_resource("balcony")
CLOSING = b"</stream:stream>"
SASL = b" xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"
HEADER = (
    b"<?xml version='1.0'?><stream:stream from='im.example.com' id='t7AMCin9zjMNwQKDnplntZPIDEI=' version='1.0' "
    b"xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
)
OFFER = b"<mechanisms" + SASL + b"><mechanism>PLAIN</mechanism></mechanisms>"
STARTTLS = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
PROCEED = b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
SUCCESS = b"<success" + SASL + b"/>"
BIND_OFFER = b"<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>"
SM_OFFER = b"<sm xmlns='urn:xmpp:sm:3'/>"
ENABLED = b"<enabled xmlns='urn:xmpp:sm:3' id='some-id' resume='true' max='300'/>"
KNOWN = ("PLAIN",)
KNOWN_FEATURES = frozenset({"urn:ietf:params:xml:ns:xmpp-bind", "urn:xmpp:sm:3"})


def features(*offered: bytes) -> bytes:
    return b"<stream:features>" + b"".join(offered) + b"</stream:features>"


AFTER_LOGIN = HEADER + features(BIND_OFFER, SM_OFFER)


@dataclass
class Session:
    """A stream of ours and what it asked for."""

    stream: ClientStream
    told: list[ClientOutput] = field(default_factory=list)  # everything but Write, in order

    @classmethod
    def of(cls, direct: bool = True, **changes: object) -> Session:
        """Connected, over TLS unless told otherwise; the header is sent."""
        known: dict[str, object] = {"jid": FULL, "ways": (ByPassword("r0m30myr0m30"),)}
        session = cls(ClientStream(Login(**(known | changes)), Chance.seeded(1)))  # type: ignore[arg-type]
        session.sent = session.does(session.stream.connected(0.0, TlsInfo() if direct else None))
        return session

    @classmethod
    def ready(cls) -> Session:
        session = cls.of()
        session.hears(HEADER + features(OFFER))
        session.hears(SUCCESS)
        session.bind(session.hears(AFTER_LOGIN))
        session.hears(ENABLED)
        session.told.clear()
        return session

    sent: bytes = b""

    def does(self, outputs: list[ClientOutput]) -> bytes:
        self.told += [output for output in outputs if not isinstance(output, Write)]
        self.sent = b"".join(output.data for output in outputs if isinstance(output, Write))
        return self.sent

    def hears(self, data: bytes, now: float = 0.0) -> bytes:
        return self.does(self.stream.received(data, now))

    def bind(self, request: bytes, jid: str = str(FULL)) -> bytes:
        """The server binds what was asked for."""
        id = request.partition(b"<iq ")[2].partition(b"id='")[2].partition(b"'")[0]
        result = b"<iq type='result' id='%b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>%b</jid></bind></iq>"
        return self.hears(result % (id, jid.encode()))


def failed(session: Session) -> LoginFailed:
    """The login failed; the stream ended with it, and nothing happens any more."""
    failure, end = session.told[-2:]
    assert isinstance(failure, LoginFailed) and isinstance(end, Ended)
    assert session.stream.state is State.ENDED and session.stream.deadline is None
    assert session.stream.received(MESSAGE, 0.0) == session.stream.close(0.0) == session.stream.wake(99.0) == []
    return failure


def test_a_login_step_by_step() -> None:
    """RFC 6120 section 9.1, from the other side."""
    session = Session.of(direct=False)
    assert b" to='im.example.com' version='1.0'" in session.sent
    assert session.hears(HEADER + features(STARTTLS)) == STARTTLS
    assert session.hears(PROCEED) == b"" and session.told == [StartTls("im.example.com")]
    assert b"<stream:stream " in session.does(session.stream.tls_started(TlsInfo(), 0.1))
    assert session.hears(HEADER + features(OFFER)).startswith(b"<auth" + SASL + b" mechanism='PLAIN'>")
    assert session.stream.mechanisms == KNOWN
    assert session.hears(SUCCESS).startswith(b"<?xml version='1.0'?><stream:stream ")
    assert session.told[1:] == [Authenticated("PLAIN", None)]
    request = session.hears(AFTER_LOGIN)
    assert b"<resource>balcony</resource>" in request and request.endswith(
        b"<enable xmlns='urn:xmpp:sm:3' resume='true'/>"
    )
    assert session.bind(request) == b"" and session.stream.state is State.ENABLING
    assert session.hears(ENABLED) == b""
    assert session.told[2:] == [Ready(FULL, Enabled("some-id", 300))]
    assert session.stream.features == KNOWN_FEATURES and session.stream.deadline is None


def test_a_client_speaks_its_language_at_the_backend_too() -> None:
    """RFC 6120 section 8.1.5: a server adds the stream's xml:lang to every stanza that has none."""
    assert b"xml:lang='de'" in Session.of(lang="de").sent and b"xml:lang" not in Session.of().sent


def test_a_known_backend_takes_two_round_trips_with_plain() -> None:
    session = Session.of(known_mechanisms=KNOWN, known_features=KNOWN_FEATURES, opening=(PRESENCE, MESSAGE))
    assert session.sent.startswith(b"<?xml") and b"<auth" in session.sent
    request = session.hears(HEADER + features(OFFER) + SUCCESS)
    assert request.startswith(b"<?xml") and request.endswith(b" resume='true'/>" + PRESENCE + MESSAGE)
    assert session.stream.state is State.BINDING
    assert session.hears(AFTER_LOGIN) == b""
    session.bind(request)
    session.hears(ENABLED)
    assert session.told == [Authenticated("PLAIN", None), Ready(FULL, Enabled("some-id", 300))]


def test_enable_is_not_sent_to_a_server_that_does_not_offer_it() -> None:
    session = Session.of()
    session.hears(HEADER + features(OFFER))
    session.hears(SUCCESS)
    request = session.hears(HEADER + features(BIND_OFFER))
    assert b"<enable" not in request
    session.bind(request)
    assert session.told[-1] == Ready(FULL, None)


def test_a_server_may_bind_another_resource_and_refuse_to_count() -> None:
    session = Session.of()
    session.hears(HEADER + features(OFFER))
    session.hears(SUCCESS)
    session.bind(session.hears(AFTER_LOGIN), "juliet@im.example.com/4db06f06")
    session.hears(Failed("internal-server-error").encode())
    assert session.told[-1] == Ready(JULIET.with_resource("4db06f06"), None)


@pytest.mark.parametrize("jid", ["admin@im.example.com/balcony", "juliet@elsewhere.example/balcony"])
def test_a_server_that_binds_us_to_another_account_is_left(jid: str) -> None:
    """Prosody 0.12 passes over an authorization identity (RFC 4616): juliet would be the administrator."""
    session = Session.of(ways=(ByImpersonation("admin", "topsecret"),))
    assert b"mechanism='PLAIN'" in session.hears(HEADER + features(OFFER))
    session.hears(SUCCESS)
    session.bind(session.hears(AFTER_LOGIN), jid)
    assert (failed(session).condition, failed(session).text) == ("another-account", jid.partition("/")[0])
    assert failed(session).temporary  # the server's mistake, not the user's


def test_stanzas_that_are_not_counted_come_before_ready() -> None:
    session = Session.of()
    session.hears(HEADER + features(OFFER))
    session.hears(SUCCESS)
    session.bind(session.hears(AFTER_LOGIN))
    session.hears(MESSAGE + ENABLED + PRESENCE)
    assert raws(session.told[-3:]) == [MESSAGE, PRESENCE]  # type: ignore[arg-type]
    assert isinstance(session.told[-2], Ready)


def test_once_ready_everything_of_a_session_passes() -> None:
    session = Session.ready()
    assert session.hears(MESSAGE + b"<a xmlns='urn:xmpp:sm:3' h='1'/> ") == b""
    assert raws(session.told)[:1] == [MESSAGE] and session.told[2] is Whitespace.KEEPALIVE  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("policy", "offered", "expected"),
    [
        (TlsPolicy.REQUIRED, (OFFER,), "starttls"),
        (TlsPolicy.NEVER, (STARTTLS[:-2] + b"><required/></starttls>", OFFER), "starttls"),
        (TlsPolicy.OPTIONAL, (OFFER,), "no-mechanism"),  # PLAIN only, and nothing protects it
    ],
)
def test_offers_that_do_not_fit_the_policy(policy: TlsPolicy, offered: tuple[bytes, ...], expected: str) -> None:
    session = Session.of(direct=False, tls=policy)
    session.hears(HEADER + features(*offered))
    assert failed(session).condition == expected and failed(session).temporary


def test_starttls_is_used_where_it_is_offered_and_plain_where_the_network_is_trusted() -> None:
    assert Session.of(direct=False, tls=TlsPolicy.OPTIONAL).hears(HEADER + features(STARTTLS, OFFER)) == STARTTLS
    assert b"PLAIN" in Session.of(direct=False, tls=TlsPolicy.NEVER).hears(HEADER + features(STARTTLS, OFFER))
    known = Session.of(direct=False, tls=TlsPolicy.NEVER, known_mechanisms=KNOWN)
    assert b"<auth" in known.sent
    assert b"<auth" not in Session.of(direct=False, tls=TlsPolicy.OPTIONAL, known_mechanisms=KNOWN).sent


def test_a_server_that_cannot_begin_tls() -> None:
    session = Session.of(direct=False)
    session.hears(HEADER + features(STARTTLS))
    session.hears(b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    assert failed(session).condition == "starttls"


def test_what_came_in_plain_text_behind_proceed_is_dropped() -> None:
    session = Session.of(direct=False)
    session.hears(HEADER + features(STARTTLS))
    session.hears(PROCEED + HEADER + features(OFFER))
    assert session.stream.state is State.TLS and session.hears(features(OFFER)) == b""
    session.does(session.stream.tls_started(TlsInfo(), 0.0))
    assert b"PLAIN" in session.hears(HEADER + features(OFFER))


@pytest.mark.parametrize(
    ("condition", "temporary"),
    [("not-authorized", False), ("account-disabled", False), ("temporary-auth-failure", True), ("made-up", False)],
)
def test_a_refused_login_says_whether_the_credentials_are_wrong(condition: str, temporary: bool) -> None:
    session = Session.of()
    session.hears(HEADER + features(OFFER))
    session.hears(b"<failure" + SASL + b"><%b/><text>no</text></failure>" % condition.encode())
    failure = failed(session)
    assert failure.condition == ("not-authorized" if condition == "made-up" else condition)
    assert (failure.temporary, failure.text) == (temporary, "no")


def test_a_mechanism_remembered_wrongly_is_replaced_by_one_offered() -> None:
    session = Session.of(known_mechanisms=("SCRAM-SHA-256",))
    assert b"SCRAM-SHA-256" in session.sent
    told = session.hears(HEADER + features(OFFER) + b"<failure" + SASL + b"><invalid-mechanism/></failure>")
    assert b"mechanism='PLAIN'" in told


def test_a_failed_bind_is_not_the_credentials_fault() -> None:
    """RFC 6120 section 7.7.2."""
    session = Session.of()
    session.hears(HEADER + features(OFFER))
    session.hears(SUCCESS)
    id = session.hears(AFTER_LOGIN).partition(b"id='")[2].partition(b"'")[0]
    error = b"<conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
    session.hears(b"<iq type='error' id='%b'><error type='cancel'>%b</error></iq>" % (id, error))
    assert failed(session) == LoginFailed("conflict", True)


def test_a_stream_error_during_login_is_why_it_failed() -> None:
    session = Session.of()
    error = b"<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
    assert session.hears(HEADER + error) == CLOSING
    assert failed(session) == LoginFailed("system-shutdown", True)
    assert session.told[-1].by_peer  # type: ignore[union-attr]


def test_a_stream_closed_during_login() -> None:
    session = Session.of()
    assert session.hears(HEADER + CLOSING) == CLOSING
    assert failed(session) == LoginFailed("closed", True)


@pytest.mark.parametrize(
    ("said", "condition"),
    [
        (HEADER.replace(b"version='1.0' ", b""), "unsupported-version"),
        (HEADER + MESSAGE, "unsupported-stanza-type"),
        (HEADER + b"<a></b>", "not-well-formed"),
        (b"HTTP/1.1 400 Bad Request", "not-well-formed"),
    ],
)
def test_a_server_that_speaks_something_else(said: bytes, condition: str) -> None:
    session = Session.of()
    assert f"<{condition} ".encode() in session.hears(said)
    assert failed(session).condition == condition and failed(session).temporary


def test_a_login_has_its_time() -> None:
    session = Session.of(seconds=5.0)
    assert session.stream.deadline == 5.0 and session.stream.wake(4.9) == []
    assert session.does(session.stream.wake(5.0)) == CLOSING
    assert failed(session).condition == "timeout"


def test_a_connection_kept_in_advance_binds_when_it_is_needed() -> None:
    session = Session.of(bind=False, known_mechanisms=KNOWN, known_features=KNOWN_FEATURES, seconds=5.0)
    assert session.hears(HEADER + features(OFFER) + SUCCESS).count(b"<iq") == 0
    assert session.told == []
    session.hears(AFTER_LOGIN)
    assert session.told == [Authenticated("PLAIN", None)] and session.stream.state is State.AUTHENTICATED
    assert session.stream.deadline is None
    request = session.does(session.stream.bind(100.0, (PRESENCE,), "garden"))
    assert session.stream.deadline == 105.0 and session.stream.bind(100.0) == []
    assert b"<resource>garden</resource>" in request and request.endswith(PRESENCE)


def test_an_old_session_is_resumed_in_one_write() -> None:
    """XEP-0198 section 5."""
    resume = Resume("some-id", 7)
    session = Session.of(known_mechanisms=KNOWN, known_features=KNOWN_FEATURES, resume=resume)
    told = session.hears(HEADER + features(OFFER) + SUCCESS)
    assert told.endswith(resume.encode())
    session.hears(AFTER_LOGIN + Resume("some-id", 12).encode("resumed") + MESSAGE)
    assert session.told[1] == Resumed("some-id", 12) and session.stream.state is State.READY
    assert raws(session.told[2:]) == [MESSAGE]  # type: ignore[arg-type]


def test_a_session_that_is_gone_is_bound_anew() -> None:
    session = Session.of(resume=Resume("some-id", 7))
    session.hears(HEADER + features(OFFER))
    session.hears(SUCCESS)
    session.hears(AFTER_LOGIN)
    request = session.hears(Failed("item-not-found", 11).encode())
    assert session.told[-1] == ResumeFailed(Failed("item-not-found", 11))
    session.bind(request)
    session.hears(ENABLED)
    assert session.told[-1] == Ready(FULL, Enabled("some-id", 300))


def test_nothing_to_resume_where_nothing_is_managed() -> None:
    session = Session.of(resume=Resume("some-id", 7))
    session.hears(HEADER + features(OFFER))
    session.hears(SUCCESS)
    assert b"<bind " in session.hears(HEADER + features(BIND_OFFER))
    assert session.told[-1] == ResumeFailed(Failed("feature-not-implemented"))


def test_closing_in_peace_still_hears_the_last_words() -> None:
    session = Session.ready()
    assert session.does(session.stream.close(10.0)) == CLOSING and session.stream.close(10.0) == []
    session.hears(b"<a xmlns='urn:xmpp:sm:3' h='9'/>" + CLOSING, 10.1)
    assert [type(told).__name__ for told in session.told] == ["Stanza", "Ended"]
    assert session.told[-1] == Ended(None)


def test_closing_in_peace_does_not_wait_forever() -> None:
    session = Session.ready()
    session.does(session.stream.close(10.0))
    assert session.stream.deadline == 12.0
    session.does(session.stream.wake(12.0))
    assert session.told == [Ended(None)]


def test_closing_with_an_error_is_at_once() -> None:
    session = Session.ready()
    error = StreamError(StreamCondition.POLICY_VIOLATION)
    assert session.does(session.stream.close(1.0, error)).startswith(b"<stream:error><policy-violation ")
    [ended] = session.told
    assert isinstance(ended, Ended) and ended.error is not None and ended.error.condition is error.condition


def test_closing_before_the_connection_is_open() -> None:
    stream = ClientStream(Login(jid=FULL, ways=()), Chance.seeded(1))
    assert stream.close(0.0) == [Ended(None)]


def test_a_server_that_shuts_down_says_so() -> None:
    session = Session.ready()
    error = b"<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
    assert session.hears(MESSAGE + error + CLOSING) == CLOSING
    ended = session.told[-1]
    assert raws(session.told[:-1]) == [MESSAGE]  # type: ignore[arg-type]
    assert isinstance(ended, Ended) and ended.by_peer
    assert ended.error is not None and ended.error.condition is StreamCondition.SYSTEM_SHUTDOWN


def test_a_server_that_closes_is_answered() -> None:
    session = Session.ready()
    assert session.hears(CLOSING) == CLOSING and session.told == [Ended(None, by_peer=True)]


def test_what_is_not_xml_once_ready_ends_the_stream() -> None:
    session = Session.ready()
    assert b"<not-well-formed " in session.hears(MESSAGE + b"<a></b>")
    assert raws(session.told[:-1]) == [MESSAGE] and isinstance(session.told[-1], Ended)  # type: ignore[arg-type]


def test_features_told_late_are_remembered() -> None:
    session = Session.ready()
    assert session.hears(features(b"<x xmlns='urn:x'/>")) == b"" and session.stream.features == {"urn:x"}
