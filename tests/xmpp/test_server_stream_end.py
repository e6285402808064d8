"""How the stream of a client ends (RFC 6120 sections 4.4 and 4.9)."""

from haproxy_voip.xmpp.errors import StreamCondition, StreamError
from haproxy_voip.xmpp.outputs import Ended
from tests.xmpp.clients import CLOSING, HEADER, STARTTLS, Client, condition, ended
from tests.xmpp.samples import MESSAGE, raws


def test_a_client_that_does_not_log_in_is_let_go() -> None:
    client = Client.connected(negotiation_seconds=30.0)
    assert client.stream.deadline == 30.0 and client.stream.wake(29.0) == []
    assert b"<connection-timeout " in client.told(client.stream.wake(30.0))
    assert condition(client) == "connection-timeout"


def test_a_handshake_that_takes_too_long_is_ended_without_a_word() -> None:
    client = Client.connected()
    client.says(HEADER)
    client.says(STARTTLS)
    assert client.told(client.stream.wake(60.0)) == b"" and condition(client) == "connection-timeout"


def test_closing_in_peace_waits_for_the_clients_tag() -> None:
    """RFC 6120 section 4.4: what is on its way still counts."""
    client = Client.established()
    assert client.told(client.stream.close(now=10.0)) == CLOSING
    assert client.stream.close(now=10.0) == []
    assert client.says(MESSAGE, 10.1) == b"" and raws(client.asked) == [MESSAGE]  # type: ignore[arg-type]
    assert client.says(CLOSING, 10.2) == b"" and ended(client) == Ended(None)


def test_closing_in_peace_does_not_wait_forever() -> None:
    client = Client.established()
    client.told(client.stream.close(now=10.0))
    assert client.stream.deadline == 12.0
    assert client.told(client.stream.wake(12.0)) == b"" and ended(client) == Ended(None)


def test_closing_with_an_error_is_at_once() -> None:
    client = Client.established()
    told = client.told(client.stream.close(StreamError(StreamCondition.SYSTEM_SHUTDOWN, "maintenance"), now=1.0))
    assert told.startswith(b"<stream:error><system-shutdown ") and told.endswith(CLOSING)
    assert condition(client) == "system-shutdown"


def test_closing_before_anything_came_opens_the_stream_first() -> None:
    client = Client.connected()
    told = client.told(client.stream.close(now=0.0))
    assert told.startswith(b"<?xml version='1.0'?><stream:stream ") and told.endswith(CLOSING)


def test_a_stranger_is_not_heard_while_closing() -> None:
    client = Client.connected(tls=True)
    client.says(HEADER)
    client.told(client.stream.close(now=0.0))
    client.says(MESSAGE)
    assert client.asked == []


def test_a_clients_stream_error_is_told_to_the_owner() -> None:
    client = Client.established()
    error = b"<stream:error><undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
    assert client.says(error + CLOSING) == CLOSING
    assert condition(client) == "undefined-condition" and ended(client).by_peer
