"""The stream of a client (RFC 6120 sections 4 to 7)."""

from base64 import b64decode, b64encode

import pytest

from haproxy_voip.xmpp.errors import SaslCondition, StanzaCondition, StanzaError, StreamCondition, StreamError
from haproxy_voip.xmpp.framing import Stanza, Whitespace
from haproxy_voip.xmpp.management import Enable, Enabled, Failed, Resume
from haproxy_voip.xmpp.outputs import Ended, StartTls, TlsInfo
from haproxy_voip.xmpp.sasl.scram_client import ScramClient, Secret
from haproxy_voip.xmpp.server_stream import (
    Authenticate,
    BindWanted,
    CredentialsWanted,
    EnableWanted,
    ResumeWanted,
    State,
)
from tests.xmpp.clients import (
    AUTH,
    BIND,
    CLIENT_KEY,
    CLOSING,
    HEADER,
    JULIET,
    KEYS,
    PLAIN,
    STARTTLS,
    Client,
    condition,
    ended,
)
from tests.xmpp.samples import MESSAGE, PRESENCE, raws

SM = b"xmlns='urn:xmpp:sm:3'"


def test_the_negotiation_of_rfc_6120_section_9_1() -> None:
    client = Client.connected()
    told = client.says(HEADER)
    assert b"from='im.example.com'" in told and b"to='juliet@im.example.com'" in told and b"version='1.0'" in told
    assert b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>" in told
    assert b"<mechanism>" not in told and client.stream.lang == "en"
    assert client.says(STARTTLS) == b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
    assert client.asked == [StartTls()]
    client.stream.tls_started(TlsInfo())
    assert b"<mechanism>SCRAM-SHA-256</mechanism><mechanism>SCRAM-SHA-1</mechanism>" in client.says(HEADER)

    scram = ScramClient("SHA-256", "juliet", Secret("r0m30myr0m30"), "oMsTAAwAAAAMAAAANP0TAAAAAABPU0AA")
    client.says(AUTH % (b"SCRAM-SHA-256", b64encode(scram.first())))
    assert client.asked[-1] == CredentialsWanted("juliet", "im.example.com", "SHA-256")
    challenge = b64decode(client.told(client.stream.keys(KEYS)).partition(b">")[2].partition(b"<")[0])
    response = b64encode(scram.server_first(challenge))
    assert client.says(b"<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>" + response + b"</response>") == b""
    assert client.asked[-1] == Authenticate("juliet", "im.example.com", "SCRAM-SHA-256", client_key=CLIENT_KEY)
    success = client.told(client.stream.accept(features=b"<csi xmlns='urn:xmpp:csi:0'/>"))
    scram.server_final(b64decode(success.partition(b">")[2].partition(b"<")[0]))
    assert client.stream.jid == JULIET

    told = client.says(HEADER)
    assert told.index(b"<bind ") < told.index(b"<sm ") < told.index(b"<max-bytes>262144<") < told.index(b"<csi ")
    client.says(BIND % b"<resource>balcony</resource>")
    assert client.asked[-1] == BindWanted("balcony")
    bound = client.told(client.stream.bound(JULIET.with_resource("balcony")))
    assert bound == (
        b"<iq id='tn281v37' type='result'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
        b"<jid>juliet@im.example.com/balcony</jid></bind></iq>"
    )
    assert client.stream.state is State.ESTABLISHED and client.stream.deadline is None

    assert client.says(MESSAGE + b" ") == b""
    assert raws(client.asked[-2:-1]) == [MESSAGE] and client.asked[-1] is Whitespace.KEEPALIVE
    assert client.says(CLOSING) == CLOSING
    assert ended(client) == Ended(None, by_peer=True)


@pytest.mark.parametrize("size", [1, 7, 50])
def test_a_negotiation_in_small_pieces(size: int) -> None:
    client = Client.connected(tls=True)
    steps = [HEADER + PLAIN, HEADER + (BIND % b""), PRESENCE]
    for data in steps:
        for at in range(0, len(data), size):
            client.says(data[at : at + size])
        match client.asked[-1]:
            case Authenticate():
                client.told(client.stream.accept())
            case BindWanted():
                client.told(client.stream.bound(JULIET.with_resource("x")))
    assert [type(asked) for asked in client.asked] == [Authenticate, BindWanted, Stanza]


def test_everything_sent_at_once_waits_for_the_answers() -> None:
    """XEP-0305 style: a client that does not wait."""
    client = Client.connected(tls=True)
    sm = b"<enable " + SM + b" resume='true'/>"
    client.says(HEADER + PLAIN + HEADER + (BIND % b"") + sm + PRESENCE + MESSAGE)
    assert len(client.asked) == 1
    client.told(client.stream.accept())
    assert client.asked[1:] == [BindWanted(None)]
    client.told(client.stream.bound(JULIET.with_resource("x")))
    assert client.asked[2:] == [EnableWanted(Enable(True, None))]
    client.told(client.stream.enabled(Enabled("id", 300)))
    assert raws(client.asked[3:]) == [PRESENCE, MESSAGE]  # type: ignore[arg-type]


def test_what_is_sent_ahead_is_limited() -> None:
    client = Client.connected(tls=True)
    client.says(HEADER + PLAIN)
    while not isinstance(client.asked[-1], Ended):
        client.says(b" " * 999)
    assert condition(client) == "policy-violation"
    assert client.stream.accept() == []


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (HEADER.replace(b"to='im.example.com'", b"to='nowhere.example'"), "host-unknown"),
        (HEADER.replace(b"to='im.example.com'", b"to='a..b'"), "host-unknown"),
        (HEADER.replace(b"to='im.example.com' ", b""), "improper-addressing"),
        (HEADER.replace(b"version='1.0' ", b""), "unsupported-version"),
        (HEADER.replace(b"version='1.0' ", b"version='0.9' "), "unsupported-version"),
        (HEADER.replace(b"version='1.0' ", b"version='x' "), "unsupported-version"),
        (HEADER.replace(b"jabber:client", b"jabber:server"), "invalid-namespace"),
        (HEADER.replace(b"etherx", b"other"), "invalid-namespace"),
        (b"<?xml version='1.0'?><!DOCTYPE a><a/>", "restricted-xml"),
        (b"\x16\x03\x01", "not-well-formed"),
    ],
)
def test_a_header_that_will_not_do_is_answered_behind_our_own(header: bytes, expected: str) -> None:
    """RFC 6120 section 4.9.1.2: "the receiving entity MUST still send an opening <stream> tag"."""
    client = Client.connected()
    told = client.says(header)
    assert told.count(b"<stream:stream ") == 1 and told.index(b"<stream:error>") > told.index(b"<stream:stream ")
    assert f"<{expected} ".encode() in told and told.endswith(CLOSING)
    assert condition(client) == expected


def test_domains_are_compared_prepared_and_versions_as_numbers() -> None:
    client = Client.connected()
    client.says(HEADER.replace(b"to='im.example.com'", b"to='IM.Example.COM'").replace(b"n='1.0' ", b"n='1.1' "))
    assert client.stream.domain == "im.example.com" and client.stream.state is State.PLAINTEXT


def test_login_before_tls_is_refused_where_tls_is_required() -> None:
    """RFC 6120 section 6.5.4."""
    client = Client.connected()
    client.says(HEADER)
    assert b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><encryption-required/></failure>" in client.says(PLAIN)
    assert client.stream.state is State.PLAINTEXT and not client.asked
    client.says(STARTTLS)
    assert client.asked == [StartTls()]


def test_what_is_sent_behind_starttls_in_plain_text_is_dropped() -> None:
    """RFC 6120 section 5.4.3.3; otherwise anybody in between can put words into the client's mouth."""
    client = Client.connected()
    client.says(HEADER)
    client.says(STARTTLS + HEADER + PLAIN)
    client.says(PLAIN)
    client.stream.tls_started(TlsInfo())
    assert client.says(HEADER).count(b"<mechanism>") == 3
    assert client.asked == [StartTls()]


def test_login_without_tls_where_it_is_optional() -> None:
    client = Client.connected(tls_required=False)
    told = client.says(HEADER)
    assert b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>" in told and b"<mechanism>PLAIN<" in told
    client.says(PLAIN)
    assert isinstance(client.asked[0], Authenticate)


@pytest.mark.parametrize("tls", [True, False])
def test_starttls_out_of_place_ends_the_stream(tls: bool) -> None:
    """RFC 6120 section 5.4.2.2."""
    client = Client.connected(tls=tls, tls_required=False, tls_offered=tls)
    assert b"<starttls" not in client.says(HEADER)
    assert client.says(STARTTLS) == b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>" + CLOSING
    ended(client)


def test_channel_binding_is_offered_where_the_certificate_is_known() -> None:
    """RFC 5929, XEP-0440."""
    told = Client.connected(tls=True, endpoint_hash=b"hash").says(HEADER)
    assert told.index(b"SCRAM-SHA-256-PLUS") < told.index(b"SCRAM-SHA-1-PLUS") < told.index(b"SCRAM-SHA-256<")
    assert b"<channel-binding type='tls-server-end-point'/>" in told


def test_stanzas_before_login_are_not_authorized() -> None:
    """RFC 6120 section 4.9.3.12."""
    for tls in (True, False):
        client = Client.connected(tls=tls)
        client.says(HEADER)
        client.says(MESSAGE)
        assert condition(client) == "not-authorized"


def test_refusals_say_why_and_end_after_five_retries() -> None:
    """RFC 6120 sections 6.4.5 and 6.5."""
    client = Client.connected(tls=True)
    client.says(HEADER)
    for _ in range(5):
        client.says(PLAIN)
        told = client.told(client.stream.refuse(SaslCondition.TEMPORARY_AUTH_FAILURE, "no server is up"))
        assert b"<temporary-auth-failure/><text>no server is up</text></failure>" in told
        assert client.stream.state is State.AUTHENTICATION
    client.says(PLAIN)
    told = client.told(client.stream.refuse(SaslCondition.NOT_AUTHORIZED))
    assert b"<policy-violation " in told and condition(client) == "policy-violation"


def test_a_pipelined_header_after_a_refusal_is_an_error() -> None:
    client = Client.connected(tls=True)
    client.says(HEADER + PLAIN + HEADER)
    client.told(client.stream.refuse(SaslCondition.NOT_AUTHORIZED))
    assert condition(client) == "bad-format"


def test_a_second_header_without_login_is_an_error() -> None:
    client = Client.connected(tls=True)
    client.says(HEADER + HEADER)
    assert condition(client) == "bad-format"


def test_large_stanzas_are_for_those_who_logged_in() -> None:
    """RFC 6120 section 13.12."""
    large = b"<message><body>" + b"x" * 20_000 + b"</body></message>"
    stranger = Client.connected(tls=True)
    stranger.says(HEADER + large)
    assert condition(stranger) == "policy-violation"
    friend = Client.established()
    friend.says(large)
    assert raws(friend.asked) == [large]  # type: ignore[arg-type]


def test_another_domain_after_login_is_an_error() -> None:
    client = Client.connected(tls=True)
    client.says(HEADER + PLAIN)
    client.told(client.stream.accept())
    client.says(HEADER.replace(b"to='im.example.com'", b"to='other.example'"))
    assert condition(client) == "not-authorized"


def test_the_owner_may_say_who_logged_in() -> None:
    client = Client.connected(tls=True)
    client.says(HEADER + PLAIN)
    client.told(client.stream.accept("juliet.capulet"))
    assert client.stream.jid is not None and client.stream.jid.local == "juliet.capulet"


@pytest.mark.parametrize("early", [MESSAGE, PRESENCE, b"<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>"])
def test_stanzas_before_binding_are_not_authorized(early: bytes) -> None:
    """RFC 6120 section 7.1."""
    client = Client.authenticated()
    client.says(early)
    assert condition(client) == "not-authorized"


def test_a_refused_resource_may_be_asked_for_again() -> None:
    """RFC 6120 sections 7.6.2 and 7.7.2."""
    client = Client.authenticated()
    client.says(BIND % b"<resource>balcony</resource>")
    told = client.told(client.stream.bind_refused(StanzaError(StanzaCondition.CONFLICT)))
    assert b"id='tn281v37' type='error'" in told and b"<error type='cancel'><conflict " in told
    assert b"<bad-request " in client.says(BIND % b"<resource>\xe2\x80\xae</resource>")
    client.says(BIND % b"")
    assert client.asked[-1] == BindWanted(None)


def test_a_client_that_never_gets_a_resource_is_let_go() -> None:
    client = Client.authenticated()
    for _ in range(10):
        client.says(BIND % b"")
        client.told(client.stream.bind_refused(StanzaError(StanzaCondition.RESOURCE_CONSTRAINT)))
    client.says(BIND % b"")
    assert condition(client) == "policy-violation"


def test_once_bound_is_bound_and_a_session_is_no_more() -> None:
    """RFC 6120 section 7.1, RFC 3921 section 3."""
    client = Client.established()
    assert b"<not-allowed " in client.says(BIND % b"<resource>other</resource>")
    session = b"<iq type='set' id='s1'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>"
    assert client.says(PRESENCE + session + MESSAGE) == b"<iq id='s1' type='result'/>"
    assert raws(client.asked) == [PRESENCE, MESSAGE]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"<message xmlns='jabber:server'/>", "invalid-namespace"),
        (b"<presence xmlns=''/>", "invalid-namespace"),
        (b"<hello/>", "unsupported-stanza-type"),
        (b"<compress xmlns='http://jabber.org/protocol/compress'/>", "unsupported-stanza-type"),
        (PLAIN, "unsupported-stanza-type"),
        (b"<a></b>", "not-well-formed"),
        (b"<message><!-- --></message>", "restricted-xml"),
        (b"text", "bad-format"),
        (HEADER, "bad-format"),
    ],
)
def test_what_no_client_may_send_comes_after_what_it_may(sent: bytes, expected: str) -> None:
    """RFC 6120 section 4.9.3."""
    client = Client.established()
    assert client.says(PRESENCE + sent).endswith(b"</stream:error>" + CLOSING)
    assert raws(client.asked) == [PRESENCE] and condition(client) == expected  # type: ignore[arg-type]


def test_stream_management_is_enabled_once() -> None:
    """XEP-0198 section 3."""
    client = Client.authenticated()
    assert b"<unexpected-request " in client.says(b"<enable " + SM + b"/>")
    client.says(BIND % b"")
    client.told(client.stream.bound(JULIET.with_resource("x")))
    assert b"<unexpected-request " in client.says(b"<r " + SM + b"/>")
    client.says(b"<enable " + SM + b" resume='true'/>" + PRESENCE)
    assert client.asked[-1] == EnableWanted(Enable(True, None))
    assert client.told(client.stream.enabled(Enabled("some-id", 300))).startswith(b"<enabled ")
    assert raws(client.asked[-1:]) == [PRESENCE]  # type: ignore[arg-type]
    assert b"<unexpected-request " in client.says(b"<enable " + SM + b"/>")
    client.says(b"<r " + SM + b"/><a " + SM + b" h='0'/>")
    assert [item.name for item in client.asked[-2:] if isinstance(item, Stanza)] == ["r", "a"]


def test_stream_management_may_be_refused_or_not_be_offered() -> None:
    client = Client.established()
    client.says(b"<enable " + SM + b"/>")
    assert b"<failed " in client.told(client.stream.management_failed(Failed("internal-server-error")))
    assert not client.stream.managed
    without = Client.established(management=False)
    assert b"<feature-not-implemented " in without.says(b"<enable " + SM + b"/>")


def test_a_session_is_resumed_instead_of_bound() -> None:
    """XEP-0198 section 5."""
    client = Client.authenticated()
    client.says(b"<resume " + SM + b" h='5' previd='some-long-sm-id'/>")
    assert client.asked[-1] == ResumeWanted(Resume("some-long-sm-id", 5))
    told = client.told(client.stream.resumed(Resume("some-long-sm-id", 7), JULIET.with_resource("balcony")))
    assert told == b"<resumed xmlns='urn:xmpp:sm:3' h='7' previd='some-long-sm-id'/>"
    assert client.stream.state is State.ESTABLISHED and client.stream.managed


def test_a_session_that_is_gone_leaves_the_client_to_bind() -> None:
    client = Client.authenticated()
    assert b"<bad-request " in client.says(b"<resume " + SM + b" h='x' previd='a'/>")
    client.says(b"<resume " + SM + b" h='5' previd='a'/>")
    assert b"<item-not-found " in client.told(client.stream.management_failed(Failed("item-not-found", 3)))
    client.says(BIND % b"")
    assert client.asked[-1] == BindWanted(None)


def test_an_answer_to_no_question_is_our_mistake() -> None:
    client = Client.established()
    with pytest.raises(AssertionError):
        client.stream.accept()
    client.told(client.stream.close(StreamError(StreamCondition.RESET), now=0.0))
    for late in (client.stream.accept(), client.stream.keys(None), client.stream.refuse(SaslCondition.ABORTED)):
        assert late == []
    assert client.stream.bound(JULIET) == client.stream.enabled(Enabled()) == []
    assert client.stream.bind_refused(StanzaError(StanzaCondition.CONFLICT)) == []
    assert client.stream.resumed(Resume("a", 1), JULIET) == client.stream.management_failed(Failed("x")) == []
