"""Our client's stream against our server's: what the proxy says to a proxy."""

import pytest

from haproxy_voip.core.chance import Chance
from haproxy_voip.core.credential import ScramKeys
from haproxy_voip.xmpp.client_stream import Authenticated, ClientOutput, ClientStream, Login, LoginFailed, Ready
from haproxy_voip.xmpp.errors import SaslCondition
from haproxy_voip.xmpp.framing import Stanza
from haproxy_voip.xmpp.management import Enabled
from haproxy_voip.xmpp.outputs import StartTls, TlsInfo, Write
from haproxy_voip.xmpp.sasl.ladder import ByClientKey, ByPassword, Way
from haproxy_voip.xmpp.server_stream import (
    Authenticate,
    BindWanted,
    CredentialsWanted,
    EnableWanted,
    ServerOutput,
    ServerStream,
)
from tests.xmpp.clients import CLIENT_KEY, JULIET, KEYS, policy
from tests.xmpp.samples import MESSAGE, PRESENCE

FULL = JULIET.with_resource("balcony")
PASSWORD = "r0m30myr0m30"


class Wire:
    """A client and a server, and the round trips between them."""

    def __init__(self, login: Login, endpoint_hash: bytes | None, keys: ScramKeys | None = KEYS) -> None:
        self.tls = TlsInfo(endpoint_hash)
        self.keys = keys
        self.server = ServerStream(policy(), Chance.seeded(1), 0.0)
        self.client = ClientStream(login, Chance.seeded(2))
        self.seen_by_server: list[ServerOutput] = []
        self.told: list[object] = []
        self.round_trips = 0
        self._deliver(self.client.connected(0.0))

    def _deliver(self, outputs: list[ClientOutput]) -> None:
        while outputs:
            data = b"".join(output.data for output in outputs if isinstance(output, Write))
            self.told += [output for output in outputs if not isinstance(output, Write)]
            if any(isinstance(output, StartTls) for output in outputs):
                self.server.tls_started(self.tls)
                outputs = self.client.tls_started(self.tls, 0.0)
                continue
            self.round_trips += bool(data)
            answered = self._answered(self.server.received(data, 0.0)) if data else b""
            outputs = self.client.received(answered, 0.0) if answered else []

    def _answered(self, outputs: list[ServerOutput]) -> bytes:
        told = b""
        for output in outputs:
            match output:
                case Write(data):
                    told += data
                case CredentialsWanted():
                    told += self._answered(self.server.keys(self.keys))
                case Authenticate(password=password, client_key=key):
                    right = password == PASSWORD or key is not None
                    answer = self.server.accept() if right else self.server.refuse(SaslCondition.NOT_AUTHORIZED)
                    told += self._answered(answer)
                case BindWanted(resource):
                    told += self._answered(self.server.bound(JULIET.with_resource(resource or "made-up")))
                case EnableWanted():
                    told += self._answered(self.server.enabled(Enabled("some-id", 300)))
                case _:
                    self.seen_by_server.append(output)
        return told


def login(*ways: Way, known: ClientStream | None = None, **changes: object) -> Login:
    remembered = {} if known is None else {"known_mechanisms": known.mechanisms, "known_features": known.features}
    return Login(**({"jid": FULL, "ways": ways} | remembered | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("endpoint_hash", [None, b"hash of the certificate"])
@pytest.mark.parametrize("way", [ByPassword(PASSWORD), ByClientKey(CLIENT_KEY)])
def test_a_session_begins_with_and_without_channel_binding(way: Way, endpoint_hash: bytes | None) -> None:
    wire = Wire(login(way, opening=(PRESENCE, MESSAGE)), endpoint_hash)
    plus = "" if endpoint_hash is None else "-PLUS"
    assert wire.told[1:] == [Authenticated(f"SCRAM-SHA-256{plus}", CLIENT_KEY), Ready(FULL, Enabled("some-id", 300))]
    assert [seen.raw for seen in wire.seen_by_server if isinstance(seen, Stanza)] == [PRESENCE, MESSAGE]


def test_a_known_backend_saves_two_round_trips() -> None:
    first = Wire(login(ByClientKey(CLIENT_KEY)), None)
    again = Wire(login(ByClientKey(CLIENT_KEY), known=first.client), None)
    # Header, STARTTLS; then header with auth, response, header with bind: three writes log in.
    assert (first.round_trips, again.round_trips) == (7, 5)
    assert again.told[1:] == first.told[1:]


def test_a_wrong_password_is_the_same_as_no_such_user() -> None:
    wrong = Wire(login(ByPassword("wrong")), None)
    nobody = Wire(login(ByPassword(PASSWORD)), None, keys=None)
    for wire in (wrong, nobody):
        assert wire.told[1] == LoginFailed("not-authorized", False)
    assert wrong.round_trips == nobody.round_trips
