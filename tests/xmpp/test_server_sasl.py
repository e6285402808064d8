"""Attempts to log in, as elements (RFC 6120 sections 6.4 and 6.5)."""

from base64 import b64decode, b64encode

import pytest

from haproxy_voip.xmpp.errors import SaslCondition, SaslFailure, StreamError
from haproxy_voip.xmpp.outputs import TlsInfo, Write
from haproxy_voip.xmpp.sasl.scram import PLUS, derive_keys, to_saslname
from haproxy_voip.xmpp.sasl.scram_client import ScramClient, Secret
from haproxy_voip.xmpp.server_outputs import Authenticate, CredentialsWanted
from haproxy_voip.xmpp.server_sasl import MAX_RETRIES, Authenticator, Fakes, authenticator_for, offered_mechanisms
from tests.xmpp.clients import AUTH, CLIENT_KEY, KEYS, PLAIN, policy
from tests.xmpp.samples import stanza

SASL = b" xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"
EMPTY_CHALLENGE = Write(b"<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")


def authenticator(endpoint_hash: bytes | None = None) -> Authenticator:
    offered = offered_mechanisms(("SCRAM-SHA-256", "PLAIN"), endpoint_hash)
    return Authenticator("im.example.com", offered, endpoint_hash, Fakes(b"node", 4096))


def response(data: bytes) -> bytes:
    return b"<response" + SASL + b">" + b64encode(data) + b"</response>"


def failure(output: object) -> str:
    assert isinstance(output, Write) and output.data.startswith(b"<failure" + SASL)
    return output.data.split(b"<")[2].rstrip(b"/>").decode()


def test_plain_in_one_step_and_in_two() -> None:
    claimed = Authenticate("juliet", "im.example.com", "PLAIN", "r0m30myr0m30")
    assert authenticator().receive(stanza(PLAIN)) == claimed
    two = authenticator()
    assert two.receive(stanza(AUTH % (b"PLAIN", b""))) == EMPTY_CHALLENGE
    assert two.receive(stanza(response(b"\0juliet\0r0m30myr0m30"))) == claimed
    assert two.under_way and two.success() == b"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
    assert not two.under_way


@pytest.mark.parametrize("plus", [True, False])
def test_scram_gives_the_clients_key(plus: bool) -> None:
    server, client = authenticator(b"hash"), ScramClient("SHA-256", "juliet", Secret("r0m30myr0m30"), "nonce")
    if plus:
        client.bind(b"hash", plus=True)
    mechanism = b"SCRAM-SHA-256-PLUS" if plus else b"SCRAM-SHA-256"
    wanted = server.receive(stanza(AUTH % (mechanism, b64encode(client.first()))))
    assert wanted == CredentialsWanted("juliet", "im.example.com", "SHA-256")
    challenge = server.keys(KEYS, "ours")
    assert isinstance(challenge, Write)
    final = client.server_first(_data(challenge.data))
    claimed = server.receive(stanza(response(final)))
    assert claimed == Authenticate("juliet", "im.example.com", mechanism.decode(), client_key=CLIENT_KEY)
    client.server_final(_data(server.success()))


def _data(nonza: bytes) -> bytes:
    return b64decode(stanza(nonza).element().text)


@pytest.mark.parametrize(
    ("sent", "condition"),
    [
        (AUTH % (b"DIGEST-MD5", b""), "invalid-mechanism"),
        (AUTH % (b"SCRAM-SHA-256-PLUS", b""), "invalid-mechanism"),
        (AUTH % (b"PLAIN", b"*"), "incorrect-encoding"),
        (AUTH % (b"PLAIN", b"="), "malformed-request"),
        (AUTH % (b"PLAIN", b64encode(b"x@y\0juliet\0pass")), "invalid-authzid"),
        (AUTH % (b"PLAIN", b64encode(b"\0ju liet\0pass")), "not-authorized"),
        (b"<abort" + SASL + b"/>", "aborted"),
        (response(b"\0a\0b"), "malformed-request"),
        (b"<success" + SASL + b"/>", "malformed-request"),
    ],
)
def test_attempts_that_fail(sent: bytes, condition: str) -> None:
    server = authenticator()
    assert failure(server.receive(stanza(sent))) == condition
    assert not server.under_way


def test_a_new_attempt_ends_the_one_before() -> None:
    server = authenticator()
    server.receive(stanza(AUTH % (b"SCRAM-SHA-256", b"")))
    assert isinstance(server.receive(stanza(PLAIN)), Authenticate)


def test_retries_are_limited() -> None:
    server = authenticator()
    for _ in range(MAX_RETRIES):
        assert failure(server.refuse(SaslFailure(SaslCondition.NOT_AUTHORIZED))) == "not-authorized"
    with pytest.raises(StreamError, match="policy-violation"):
        server.receive(stanza(b"<abort" + SASL + b"/>"))


def test_without_tls_nothing_is_offered_where_it_is_required() -> None:
    assert authenticator_for("a", policy(), None).offered == ()
    assert authenticator_for("a", policy(), TlsInfo()).offered == ("SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN")
    assert len(authenticator_for("a", policy(), TlsInfo(b"hash")).offered) == 5
    assert len(authenticator_for("a", policy(tls_required=False), None).offered) == 3
    unknown = policy(plain_only=frozenset({"a"}))
    assert authenticator_for("a", unknown, TlsInfo(b"hash")).offered == ("PLAIN",)
    assert len(authenticator_for("b", unknown, TlsInfo(b"hash")).offered) == 5


# -- whom to act as (RFC 4616 section 2, RFC 5802 section 5.1, RFC 6120 sections 6.3.8 and 6.5.6) ---------

JULIET = "juliet@im.example.com"
SCRAM = ("SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS")
OTHERS = ("romeo@im.example.com", "juliet@other.example", "juliet", f"{JULIET}/balcony", "@", "a=b,c@im.example.com")
OF = {"SHA-1": derive_keys("r0m30myr0m30", "SHA-1", b"0123456789abcdef", 4096)[1], "SHA-256": KEYS}


class Acting(ScramClient):
    """Says whom it means to be."""

    def __init__(self, mechanism: str, authzid: str) -> None:
        super().__init__(mechanism.removeprefix("SCRAM-").removesuffix(PLUS), "juliet", Secret("r0m30myr0m30"), "nonce")
        if mechanism.endswith(PLUS):
            self.bind(b"hash", plus=True)
        said = f"a={to_saslname(authzid)}" if authzid else ""
        self._gs2_header = self._gs2_header.removesuffix(",") + f"{said},"


def every_mechanism() -> Authenticator:
    offered = offered_mechanisms(("SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"), b"hash")
    return Authenticator("im.example.com", offered, b"hash", Fakes(b"node", 4096))


def begun(server: Authenticator, mechanism: str, message: bytes) -> object:
    return server.receive(stanza(AUTH % (mechanism.encode(), b64encode(message))))


@pytest.mark.parametrize("authzid", ["", JULIET, "Juliet@IM.example.com"])
@pytest.mark.parametrize("mechanism", SCRAM)
def test_by_scram_a_user_acts_as_itself_whether_it_says_so_or_not(mechanism: str, authzid: str) -> None:
    server, client = every_mechanism(), Acting(mechanism, authzid)
    assert isinstance(begun(server, mechanism, client.first()), CredentialsWanted)
    challenge = server.keys(OF[client.algorithm], "ours")
    assert isinstance(challenge, Write)
    claimed = server.receive(stanza(response(client.server_first(_data(challenge.data)))))
    assert isinstance(claimed, Authenticate) and (claimed.username, claimed.mechanism) == ("juliet", mechanism)
    client.server_final(_data(server.success()))


@pytest.mark.parametrize("authzid", OTHERS)
@pytest.mark.parametrize("mechanism", SCRAM)
def test_by_scram_nobody_acts_as_another_and_nobodys_keys_are_asked_for(mechanism: str, authzid: str) -> None:
    server = every_mechanism()
    assert failure(begun(server, mechanism, Acting(mechanism, authzid).first())) == "invalid-authzid"
    assert not server.under_way


@pytest.mark.parametrize("header", [b"n,a=,", b"n,a,", b"n,a=romeo=40x,", b"n,romeo@im.example.com,"])
def test_an_identity_that_is_not_written_by_the_book_is_malformed(header: bytes) -> None:
    """RFC 5802 section 7: a saslname has a character at least, and "=" only in "=2C" and "=3D"."""
    server = every_mechanism()
    assert failure(begun(server, "SCRAM-SHA-256", header + b"n=juliet,r=nonce")) == "malformed-request"


def test_an_identity_that_was_put_in_on_the_way_does_not_fit_what_the_client_bound() -> None:
    """RFC 5802 section 5.1: "c=" is the header as the client sent it."""
    server, client = every_mechanism(), Acting("SCRAM-SHA-256", "")
    begun(server, "SCRAM-SHA-256", b"n,a=juliet@im.example.com," + client.first().removeprefix(b"n,,"))
    challenge = server.keys(KEYS, "ours")
    assert isinstance(challenge, Write)
    assert failure(server.receive(stanza(response(client.server_first(_data(challenge.data)))))) == "not-authorized"


@pytest.mark.parametrize("authzid", ["", JULIET, "Juliet@IM.example.com"])
def test_by_plain_a_user_acts_as_itself_whether_it_says_so_or_not(authzid: str) -> None:
    claimed = begun(every_mechanism(), "PLAIN", f"{authzid}\0juliet\0r0m30myr0m30".encode())
    assert claimed == Authenticate("juliet", "im.example.com", "PLAIN", "r0m30myr0m30")


@pytest.mark.parametrize("authzid", OTHERS)
def test_by_plain_nobody_acts_as_another(authzid: str) -> None:
    server = every_mechanism()
    assert failure(begun(server, "PLAIN", f"{authzid}\0juliet\0r0m30myr0m30".encode())) == "invalid-authzid"
    assert not server.under_way
