"""RFC 4475 in a running node: every message from a stranger, from a user with the right credentials, and from a
backend. What is answered, and what reaches the other side, is compared with the table of verdicts."""

import re

import pytest

from haproxy_voip.configuration.model import HealthConfig, ProxyConfig, SipConfig
from haproxy_voip.core.address import Endpoint, Transport
from haproxy_voip.sip.message import Request
from tests.conformance.rfc4475.verdicts import VERDICTS, Verdict
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
from tests.proxy.stage import PROXY, Stage, config

ADMITTED = [verdict for verdict in VERDICTS if verdict.node_status in CHALLENGES]
REGISTERS = [verdict for verdict in ADMITTED if verdict.node_status == 401]
CROSSING = [verdict for verdict in ADMITTED if verdict.node_status == 407]

# Their Request-URI is of a domain that is not ours: a proxy may only serve "the domains handled" (RFC 3261 section
# 21.4.5), and we relay to no others.
FOREIGN = {"esc01", "mpart01"}


def stage() -> Stage:
    proxy = ProxyConfig(domain=DOMAIN, sip=SipConfig(listen=(Endpoint(Transport.UDP, PROXY),)))
    slow = HealthConfig(inter=20.0)  # or probes would be most of the work
    return Stage(config(proxy=proxy, health=slow), users=("1001", "1002", *sorted(set(USERS.values()))))


USERS = {verdict.name: user_of(verdict) for verdict in ADMITTED}


def assert_unharmed(verdict: Verdict, crossed: Request) -> None:
    sent = request_of(verdict)
    assert crossed.method == sent.method
    assert carried(crossed) == carried(sent)
    assert crossed.from_.display == sent.from_.display
    assert crossed.to.display == sent.to.display
    if crossed.content_type == "application/sdp":
        assert b"c=IN IP4 127.0.0.10" in crossed.body and b"192.0.2" not in crossed.body
    else:
        assert crossed.body == sent.body


@pytest.mark.parametrize("verdict", VERDICTS, ids=by_name)
def test_a_stranger_is_answered_and_nothing_reaches_a_backend(verdict: Verdict) -> None:
    on = stage()
    client = on.client("1001")
    client.send(verdict.data)
    assert finals(client) == ([] if verdict.node_status is None else [verdict.node_status])
    assert not any(backend.seen for backend in on.backends.values())
    assert_at_rest(on)


@pytest.mark.parametrize("verdict", VERDICTS, ids=by_name)
def test_a_backend_is_never_challenged_and_finds_nobody(verdict: Verdict) -> None:
    """A backend reaches contacts of ours only, which none of these names: 404 where a client is challenged.

    Max-Forwards of 0 asks whether it may go on; here it ends anyway (16.3 is about proxying).
    """
    on = stage()
    on.phone("1002")
    on.alpha.send(verdict.data)
    status = 404 if verdict.node_status in (*CHALLENGES, 483) else verdict.node_status
    assert finals(on.alpha) == ([] if status is None else [status])
    assert_at_rest(on)


@pytest.mark.parametrize("verdict", REGISTERS, ids=by_name)
def test_a_user_is_registered(verdict: Verdict) -> None:
    """3.1.1.4, 3.1.1.8, 3.3.7, 3.3.12 to 3.3.14."""
    on = stage()
    client = on.client("1001")
    client.send(credible(client, verdict))
    assert finals(client) == [200]
    wanted = [str(contact.uri) for contact in request_of(verdict).contacts]
    assert [binding.uri for binding in on.node.bindings.of(USERS[verdict.name])] == wanted
    for backend in on.backends.values():
        assert len([message for message in backend.seen if isinstance(message, Request)]) == len(wanted)


@pytest.mark.parametrize("verdict", CROSSING, ids=by_name)
def test_a_user_reaches_the_backend(verdict: Verdict) -> None:
    on = stage()
    client = on.client("1001")
    uri = request_of(verdict).uri
    uri = re.sub(r"@example\.(net|org)$", f"@{DOMAIN}", uri)
    client.send(credible(client, verdict, uri))
    crossed = on.alpha.take_request(request_of(verdict).method)
    assert_unharmed(verdict, crossed)
    assert crossed.request_uri.user == parse_user(uri)
    on.alpha.answer(crossed, 488)
    assert finals(client) == [488]
    assert_at_rest(on)


def parse_user(uri: str) -> str | None:
    return Request("OPTIONS", uri).request_uri.user


@pytest.mark.parametrize("verdict", [verdict for verdict in CROSSING if verdict.name in FOREIGN], ids=by_name)
def test_a_user_reaches_no_other_domain(verdict: Verdict) -> None:
    on = stage()
    client = on.client("1001")
    client.send(credible(client, verdict))
    assert finals(client) == [404]
    assert not any(backend.seen for backend in on.backends.values())


@pytest.mark.parametrize("verdict", CROSSING, ids=by_name)
def test_a_backend_reaches_a_phone(verdict: Verdict) -> None:
    on = stage()
    phone = on.phone("1002")
    _, _, rest = verdict.data.partition(b"\r\n")
    request = request_of(verdict)
    uri = f"sip:{on.token_of('1002')}@{PROXY}"
    on.alpha.send(f"{request.method} {uri} SIP/2.0\r\n".encode() + rest)
    if request.method == "OPTIONS":
        assert finals(on.alpha) == [200]  # answered for the phone: it may be asked often, and by each backend
        return
    crossed = phone.take_request(request.method)
    assert_unharmed(verdict, crossed)
    phone.answer(crossed, 488)
    assert finals(on.alpha) == [488]


def test_messages_one_after_the_other_do_not_disturb_each_other() -> None:
    on = stage()
    client = on.client("1001")
    for verdict in VERDICTS:
        client.send(verdict.data)
        on.alpha.send(verdict.data)
    assert_at_rest(on)
