"""What goes to the client, until the client has it."""

from __future__ import annotations

from typing import cast

import pytest

from haproxy_voip.proxy.chat.backend_leg import BackendLeg, Books
from haproxy_voip.proxy.chat.client_leg import ClientLeg
from haproxy_voip.proxy.chat.incoming import Incoming
from haproxy_voip.xmpp.errors import StreamError
from haproxy_voip.xmpp.management import MAX_UNACKNOWLEDGED, REQUEST, Unacknowledged


class Written:
    """A client that is there."""

    def __init__(self) -> None:
        self.data: list[bytes] = []

    def write(self, data: bytes) -> list[object]:
        self.data.append(data)
        return []


class Handled:
    """A backend's leg."""

    def __init__(self) -> None:
        self.books = Books()
        self.numbers: list[int] = []

    def handle(self, number: int) -> list[object]:
        self.numbers.append(number)
        return []


def parts(*, managed: bool = True) -> tuple[Incoming, Written, Handled]:
    incoming = Incoming()
    if managed:
        incoming.unacknowledged = Unacknowledged()
    return incoming, Written(), Handled()


def client(written: Written) -> ClientLeg:
    return cast("ClientLeg", written)


def leg(handled: Handled) -> BackendLeg:
    return cast("BackendLeg", handled)


def test_a_client_that_does_not_count_has_what_is_written() -> None:
    incoming, written, handled = parts(managed=False)
    incoming.deliver(b"<a/>", client(written), leg(handled), 1)
    assert written.data == [b"<a/>"] and handled.numbers == [1]
    assert incoming.request(client(written)) == [] and written.data == [b"<a/>"]


def test_another_has_what_it_acknowledged() -> None:
    incoming, written, handled = parts()
    for number in (1, 2):
        incoming.deliver(b"<a/>", client(written), leg(handled), number)
    incoming.request(client(written))
    incoming.request(client(written))  # one at a time
    assert written.data == [b"<a/>", b"<a/>", REQUEST] and handled.numbers == []
    incoming.deliver(b"<a/>", client(written), leg(handled), 3)
    incoming.acknowledge(2, client(written))
    assert handled.numbers == [1, 2] and written.data[-1] == REQUEST  # for the third


def test_what_comes_while_it_is_away_is_repeated_when_it_is_back() -> None:
    incoming, written, handled = parts()
    incoming.deliver(b"<a/>", None, leg(handled), 1)
    incoming.deliver(b"<b/>", None, None, 0)
    incoming.repeat(client(written))
    assert written.data == [b"<a/>", b"<b/>", REQUEST]
    incoming.acknowledge(2, client(written))
    assert handled.numbers == [1]


def test_more_acknowledgements_than_stanzas_are_a_mistake() -> None:
    incoming, written, _ = parts()
    with pytest.raises(StreamError):
        incoming.acknowledge(1, client(written))


def test_there_is_an_end_to_keeping() -> None:
    incoming, written, handled = parts()
    for number in range(MAX_UNACKNOWLEDGED):
        incoming.deliver(b"<a/>", client(written), leg(handled), number)
    with pytest.raises(StreamError):
        incoming.deliver(b"<a/>", client(written), leg(handled), 0)


def test_what_came_over_an_earlier_connection_is_acknowledged_on_the_next() -> None:
    incoming, written, earlier = parts()
    later = Handled()
    later.books = earlier.books
    incoming.deliver(b"<a/>", client(written), leg(earlier), 1)
    incoming.carried_on(leg(later))
    incoming.acknowledge(1, client(written))
    assert (earlier.numbers, later.numbers) == ([], [1])
