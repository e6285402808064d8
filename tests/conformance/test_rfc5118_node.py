"""RFC 5118 in a running node that speaks IPv6 to clients and IPv4 to backends: every message from where its Via says
it is from, by a stranger, by a user with the right credentials, and by a backend."""

import re

import pytest

from haproxy_voip.configuration.model import HealthConfig, ProxyConfig, SipConfig
from haproxy_voip.core.address import Address, Endpoint, Flow, Transport
from haproxy_voip.sip.message import Request
from tests.conformance.rfc5118.verdicts import VERDICTS, Verdict
from tests.conformance.torture import (
    CHALLENGES,
    DOMAIN,
    assert_at_rest,
    by_name,
    carried,
    credible,
    finals,
    request_of,
    user_of,
)
from tests.proxy.stage import PROXY, Peer, Stage, config

# Whom these messages are sent to: us.
OURS = (Address("2001:db8::10", 5060), Address("2001:db8::c000:201", 5060))
SOMEWHERE = Address("2001:db8::7", 5060)  # for who gives a name
REGISTERS = [verdict for verdict in VERDICTS if verdict.node_status == 401]
CROSSING = [verdict for verdict in VERDICTS if verdict.node_status == 407]
NOT_OURS = "port-ambiguous"
TO_BACKEND, TO_PHONE = b"c=IN IP4 127.0.0.10", b"c=IN IP6 2001:db8::10"
STREAM = re.compile(rb"(?m)^m=\S+ (\d+)")
CLIENTS_OWN = re.compile(rb"2001:db8::(1|20)\b|::ffff|192\.0\.2|host\.example")


def stage() -> Stage:
    listen = tuple(Endpoint(Transport.UDP, address) for address in (*OURS, PROXY))
    slow = HealthConfig(inter=20.0)  # or probes would be most of the work
    proxy = ProxyConfig(domain=DOMAIN, sip=SipConfig(listen=listen))
    return Stage(config(proxy=proxy, health=slow), users=("1001", "1002", "user"))


def sender(on: Stage, verdict: Verdict) -> Peer:
    """A client where the topmost Via says it is, if it says so; where the Via cannot be read, somewhere."""
    found = re.search(rb"Via: SIP/2.0/UDP \[(.+?)\](?::(\d+))?", verdict.data)
    remote = Address.parse(f"[{found[1].decode()}]:{int(found[2] or 5060)}") if found else SOMEWHERE
    return at(on, remote, user_of(verdict) if verdict.parse_status is None else "")


def at(on: Stage, remote: Address, user: str) -> Peer:
    peer = on.peers[remote] = Peer(on, Flow(Transport.UDP, OURS[0], remote), user)
    return peer


@pytest.mark.parametrize("verdict", VERDICTS, ids=by_name)
def test_a_stranger_is_answered_where_it_is_and_nothing_reaches_a_backend(verdict: Verdict) -> None:
    on = stage()
    client = sender(on, verdict)
    client.send(verdict.data)
    assert finals(client) == [verdict.node_status]
    assert not any(backend.seen for backend in on.backends.values())
    assert_at_rest(on)


@pytest.mark.parametrize("verdict", VERDICTS, ids=by_name)
def test_a_backend_is_never_challenged_and_finds_nobody(verdict: Verdict) -> None:
    on = stage()
    on.alpha.send(verdict.data)
    assert finals(on.alpha) == [404 if verdict.node_status in CHALLENGES else verdict.node_status]
    assert_at_rest(on)


@pytest.mark.parametrize("verdict", REGISTERS, ids=by_name)
def test_a_user_is_registered_at_an_address_of_ours_and_at_no_other(verdict: Verdict) -> None:
    """4.1, 4.3, 4.4."""
    on = stage()
    client = sender(on, verdict)
    client.send(credible(client, verdict))
    bound = [binding.uri for binding in on.node.bindings.of("user")]
    if verdict.name == NOT_OURS:
        assert (finals(client), bound) == ([404], [])
    else:
        assert (finals(client), bound) == ([200], ["sip:caller@[2001:db8::1]"])


def assert_unharmed(verdict: Verdict, crossed: Request, media: bytes) -> None:
    sent = request_of(verdict)
    assert (crossed.method, carried(crossed)) == (sent.method, carried(sent))
    assert not CLIENTS_OWN.search(crossed.encode())
    if sent.body:
        assert {line for line in crossed.body.split(b"\r\n") if line.startswith(b"c=")} == {media}
    ports = STREAM.findall(crossed.body)
    assert len(ports) == len(set(ports) - {b"0"}) == len(STREAM.findall(sent.body))


@pytest.mark.parametrize("verdict", CROSSING, ids=by_name)
def test_a_user_reaches_the_backend(verdict: Verdict) -> None:
    """4.6, 4.8, 4.9, and 4.10: with two colons and with three it is the same address, which is ours."""
    on = stage()
    client = sender(on, verdict)
    client.send(credible(client, verdict))
    crossed = on.alpha.take_request(request_of(verdict).method)
    assert_unharmed(verdict, crossed, TO_BACKEND)
    assert crossed.request_uri.user == "user"
    on.alpha.answer(crossed, 488)
    assert finals(client) == [488]
    assert_at_rest(on)


@pytest.mark.parametrize("verdict", CROSSING, ids=by_name)
def test_a_backend_reaches_a_phone(verdict: Verdict) -> None:
    on = stage()
    phone = at(on, SOMEWHERE, "1002")
    phone.request("REGISTER", f"sip:{DOMAIN}", to=f"<sip:1002@{DOMAIN}>", expires="600")
    phone.take(200)
    _, _, rest = verdict.data.partition(b"\r\n")
    request = request_of(verdict)
    on.alpha.send(f"{request.method} sip:{on.token_of('1002')}@{PROXY} SIP/2.0\r\n".encode() + rest)
    if request.method == "OPTIONS":
        assert finals(on.alpha) == [200]  # answered for the phone: it may be asked often, and by each backend
        return
    crossed = phone.take_request(request.method)
    assert_unharmed(verdict, crossed, TO_PHONE)
    phone.answer(crossed, 488)
    assert finals(on.alpha) == [488]
