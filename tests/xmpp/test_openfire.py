"""What Openfire says, as far as that can be known without one: Debian does not package it, so nothing here was recorded
by us. Of each transcript it is said where it comes from:

- published: a log that somebody else put on the web, with the host's name changed;
- synthesized: written by hand from Openfire's source code (net/SASLAuthentication, net/XMPPCallbackHandler,
  sasl/SaslServerPlainImpl, auth/DefaultAuthorizationPolicy, streammanagement/StreamManager of the 4.8 and 5 series) and
  from XEP-0045. It shows that we read what that code writes, and not that a running Openfire writes it.
"""

from __future__ import annotations

from base64 import b64decode, b64encode

import pytest

from haproxy_voip.core.chance import Chance
from haproxy_voip.xmpp.client_outputs import NO_MECHANISM
from haproxy_voip.xmpp.client_stream import ClientStream, Login, LoginFailed, Ready, Resumed, ResumeFailed, TlsPolicy
from haproxy_voip.xmpp.element import parse_element
from haproxy_voip.xmpp.jid import Jid
from haproxy_voip.xmpp.management import Resume
from haproxy_voip.xmpp.outputs import Ended, TlsInfo, Write
from haproxy_voip.xmpp.sasl.ladder import ByImpersonation, ByPassword, Way
from tests.proxy.chat.stage import Stage

# Published: an Openfire of the 3.x series; the white space between elements is the publisher's.
TRANSCRIPT = (
    b"<?xml version='1.0' encoding='UTF-8'?><stream:stream xmlns:stream=\"http://etherx.jabber.org/streams\" "
    b'xmlns="jabber:client" from="chat.example" id="120f62d9" xml:lang="zh-cn" version="1.0">',
    b'<stream:features>\n<mechanisms xmlns="urn:ietf:params:xml:ns:xmpp-sasl">\n<mechanism>DIGEST-MD5</mechanism>\n'
    b"<mechanism>PLAIN</mechanism>\n<mechanism>ANONYMOUS</mechanism>\n<mechanism>CRAM-MD5</mechanism>\n</mechanisms>\n"
    b'<compression xmlns="http://jabber.org/features/compress">\n<method>zlib</method>\n</compression>\n'
    b'<auth xmlns="http://jabber.org/features/iq-auth"/>\n<register xmlns="http://jabber.org/features/iq-register"/>\n'
    b"</stream:features>",
)
HEADER = TRANSCRIPT[0].replace(b"zh-cn", b"en")
# Published: the features of an Openfire 4.1.3, before and after login in one because it was recorded over BOSH.
FEATURES_4_1_3 = (
    b'<stream:features><mechanisms xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><mechanism>PLAIN</mechanism>'
    b"<mechanism>SCRAM-SHA-1</mechanism><mechanism>EXTERNAL</mechanism><mechanism>CRAM-MD5</mechanism>"
    b'<mechanism>DIGEST-MD5</mechanism></mechanisms><register xmlns="http://jabber.org/features/iq-register"/>'
    b'<bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"/><session xmlns="urn:ietf:params:xml:ns:xmpp-session"><optional/>'
    b"</session></stream:features>"
)
# All that follows is synthesized.
PLAIN_ONLY = (
    b'<stream:features><mechanisms xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><mechanism>PLAIN</mechanism></mechanisms>'
    b'<mechanisms xmlns="urn:xmpp:sasl:2"><mechanism>PLAIN</mechanism></mechanisms></stream:features>'
)
SUCCESS = b'<success xmlns="urn:ietf:params:xml:ns:xmpp-sasl"/>'
NOT_AUTHORIZED = b'<failure xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><not-authorized/></failure>'
AFTER_LOGIN = HEADER + (
    b'<stream:features><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"/><session '
    b'xmlns="urn:ietf:params:xml:ns:xmpp-session"><optional/></session><sm xmlns="urn:xmpp:sm:2"/>'
    b'<sm xmlns="urn:xmpp:sm:3"/><csi xmlns="urn:xmpp:csi:0"/></stream:features>'
)
ENABLED = b'<enabled xmlns="urn:xmpp:sm:3" resume="true" id="%b" location="openfire.example" max="600"/>'
SESSION = b64encode(b"home\x00120f62d9")
ITEM_NOT_FOUND = b'<failed xmlns="urn:xmpp:sm:3"><item-not-found xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></failed>'
OWNER = (
    "<presence to='{to}' from='{room}/{nick}'><x xmlns='http://jabber.org/protocol/muc#user'>"
    "<item jid='{to}' affiliation='owner' role='moderator'/><status code='110'/><status code='100'/>"
    "<status code='201'/></x></presence>"
)
NO_SUBJECT = "<message type='groupchat' from='{room}' to='{to}'><subject></subject></message>"


class Dialogue:
    """With what was said by us: bytes, and everything else."""

    def __init__(self, *ways: Way, encrypted: bool = True, **changes: object) -> None:
        known: dict[str, object] = {"jid": Jid("1001", "chat.example", "home"), "ways": ways or (ByPassword("secret"),)}
        self.stream = ClientStream(Login(**(known | changes)), Chance.seeded(1))  # type: ignore[arg-type]
        self.said: list[object] = [*self.stream.connected(0.0, TlsInfo(None) if encrypted else None)]

    def hears(self, *pieces: bytes) -> bytes:
        """What we answer."""
        before = len(self.said)
        for data in pieces:
            self.said += self.stream.received(data, 0.0)
        return b"".join(item.data for item in self.said[before:] if isinstance(item, Write))

    def binds(self, as_: bytes = b"1001@chat.example/home") -> None:
        """From the features before login to a session."""
        assert b"<auth " in self.hears(HEADER, PLAIN_ONLY)
        asked = self.hears(SUCCESS, AFTER_LOGIN)
        id = asked.partition(b"<iq ")[2].partition(b"id='")[2].partition(b"'")[0]
        result = b'<iq type="result" id="%b" to="chat.example/120f62d9"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind">'
        self.hears(result % id + b"<jid>" + as_ + b"</jid></bind></iq>")

    def told(self, kind: type) -> list[object]:
        return [item for item in self.said if isinstance(item, kind)]


def logging_in(encrypted: bool, policy: TlsPolicy) -> tuple[ClientStream, list[object]]:
    dialogue = Dialogue(encrypted=encrypted, tls=policy)
    dialogue.hears(*TRANSCRIPT)
    return dialogue.stream, dialogue.said


# -- what it offers -------------------------------------------------------------------------------------


def test_of_what_it_offers_plain_is_taken_over_tls() -> None:
    stream, said = logging_in(True, TlsPolicy.REQUIRED)
    assert stream.mechanisms == ("DIGEST-MD5", "PLAIN", "ANONYMOUS", "CRAM-MD5")
    assert isinstance(said[-1], Write) and b"mechanism='PLAIN'" in said[-1].data


def test_and_nothing_where_somebody_could_listen() -> None:
    _, said = logging_in(False, TlsPolicy.OPTIONAL)
    assert [item.condition for item in said if isinstance(item, LoginFailed)] == [NO_MECHANISM]


@pytest.mark.parametrize("size", [1, 7, 64])
def test_in_whatever_pieces_it_comes(size: int) -> None:
    data = b"".join(TRANSCRIPT)
    dialogue = Dialogue()
    dialogue.hears(*(data[at : at + size] for at in range(0, len(data), size)))
    assert isinstance(dialogue.said[-1], Write) and b"mechanism='PLAIN'" in dialogue.said[-1].data


def test_since_4_1_it_offers_scram_which_goes_before_plain_wherever_it_stands() -> None:
    assert b"mechanism='SCRAM-SHA-1'" in Dialogue().hears(HEADER, FEATURES_4_1_3)
    assert b"mechanism='SCRAM-SHA-1'" in Dialogue(encrypted=False, tls=TlsPolicy.NEVER).hears(HEADER, FEATURES_4_1_3)


@pytest.mark.parametrize("success", [SUCCESS, SUCCESS.replace(b"/>", b">=</success>")])
def test_its_success_may_be_empty_in_either_way(success: bytes) -> None:
    dialogue = Dialogue()
    dialogue.hears(HEADER, PLAIN_ONLY)
    assert dialogue.hears(success).startswith(b"<?xml") and not dialogue.told(LoginFailed)


def test_after_a_refusal_no_second_attempt_is_made_with_the_same_password() -> None:
    """It closes the stream at the third (`xmpp.auth.retries`) and may lock the account."""
    dialogue = Dialogue()
    dialogue.hears(HEADER, PLAIN_ONLY)
    assert b"<auth" not in dialogue.hears(NOT_AUTHORIZED, b"</stream:stream>")
    [failed] = dialogue.told(LoginFailed)
    assert isinstance(failed, LoginFailed) and failed.condition == "not-authorized" and not failed.temporary


# -- sasl.proxyAuth -------------------------------------------------------------------------------------


def authorized(said: bytes, *, proxy_auth: bool) -> str | None:
    """Whom that code logs in, or None: PLAIN split at NULs, the domain cut off, administrators may be anybody."""
    payload = parse_element(said[said.index(b"<auth ") :]).text
    names = [part for part in b64decode(payload).decode().split("\0") if part]
    authzid, authcid, password = names if len(names) > 2 else (names[0], *names)
    authzid = authzid.rpartition("@")[0] or authzid
    if (authcid, password) not in {("admin", "top"), ("1001", "secret")}:
        return None
    return authzid if authzid == authcid or (proxy_auth and authcid == "admin") else None


@pytest.mark.parametrize("proxy_auth", [True, False])
def test_an_administrator_logs_in_as_the_user_where_it_is_allowed(proxy_auth: bool) -> None:
    said = Dialogue(ByImpersonation("admin", "top")).hears(HEADER, PLAIN_ONLY)
    assert authorized(said, proxy_auth=proxy_auth) == ("1001" if proxy_auth else None)


@pytest.mark.parametrize("proxy_auth", [True, False])
def test_who_has_the_password_needs_no_such_right(proxy_auth: bool) -> None:
    assert authorized(Dialogue().hears(HEADER, PLAIN_ONLY), proxy_auth=proxy_auth) == "1001"


def test_an_administrators_password_is_shown_to_nobody_but_over_tls() -> None:
    dialogue = Dialogue(ByImpersonation("admin", "top"), encrypted=False, tls=TlsPolicy.OPTIONAL)
    assert b"<auth" not in dialogue.hears(HEADER, FEATURES_4_1_3) and dialogue.told(LoginFailed)


def test_whoever_is_bound_as_the_administrator_is_not_the_user() -> None:
    """What a server would do that does not look at the authorization identity."""
    dialogue = Dialogue(ByImpersonation("admin", "top"))
    dialogue.binds(b"admin@chat.example/home")
    assert not dialogue.told(Ready) and dialogue.told(LoginFailed) and dialogue.told(Ended)


# -- resource binding and stream management -------------------------------------------------------------


def test_it_binds_what_was_asked_for_and_says_where_to_resume() -> None:
    dialogue = Dialogue()
    dialogue.binds()
    dialogue.hears(ENABLED % SESSION)
    [ready] = dialogue.told(Ready)
    assert isinstance(ready, Ready) and str(ready.jid) == "1001@chat.example/home" and ready.enabled is not None
    assert (ready.enabled.id, ready.enabled.max) == (SESSION.decode(), 600)


def test_a_resource_that_is_taken_is_a_conflict_and_nobodys_password_is_wrong() -> None:
    """With `xmpp.session.conflict-limit` = -1."""
    dialogue = Dialogue()
    dialogue.hears(HEADER, PLAIN_ONLY)
    asked = dialogue.hears(SUCCESS, AFTER_LOGIN)
    id = asked.partition(b"<iq ")[2].partition(b"id='")[2].partition(b"'")[0]
    conflict = b'<error code="409" type="cancel"><conflict xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error>'
    dialogue.hears(b'<iq type="error" id="%b">%b</iq>' % (id, conflict))
    [failed] = dialogue.told(LoginFailed)
    assert isinstance(failed, LoginFailed) and failed.condition == "conflict" and failed.temporary


@pytest.mark.parametrize("resumed", [True, False])
def test_it_resumes_a_session_or_lets_us_bind_anew(resumed: bool) -> None:
    dialogue = Dialogue(resume=Resume(SESSION.decode(), 3))
    dialogue.hears(HEADER, PLAIN_ONLY)
    assert b"<resume " in dialogue.hears(SUCCESS, AFTER_LOGIN)
    if resumed:
        dialogue.hears(b'<resumed xmlns="urn:xmpp:sm:3" previd="%b" h="5"/>' % SESSION)
        assert dialogue.told(Resumed) == [Resumed(SESSION.decode(), 5)]
    else:
        assert b"<bind " in dialogue.hears(ITEM_NOT_FOUND) and dialogue.told(ResumeFailed)


# -- rooms ----------------------------------------------------------------------------------------------


def test_a_room_made_anew_is_opened_again_by_its_owner_and_nobody_hears_of_it() -> None:
    """The room is locked until its owner has sent the instant form (XEP-0045 section 10.1.2)."""
    stage = Stage()
    alice = stage.client("alice")
    room = alice.join("lobby")
    joined = OWNER.format(to=alice.jid, room=room, nick="alice")
    stage.alpha.sessions[alice.jid].send(joined.encode())  # in place of the test server's own words
    stage.run(1.0)
    alice.take()
    heard: list[bytes] = []
    stage.beta.rooms.take = lambda _, stanza: heard.append(stanza.raw)  # type: ignore[method-assign, assignment, misc]
    stage.kill("alpha")
    stage.run(0.1)
    assert len(heard) == 1 and b"http://jabber.org/protocol/muc" in heard[0]
    for told in (joined, NO_SUBJECT.format(to=alice.jid, room=room)):
        stage.beta.sessions[alice.jid].send(told.encode())
    stage.run(0.1)
    assert b"type='submit'" in heard[1] and f"to='{room}'".encode() in heard[1]
    assert alice.take() == []
