"""What waits while the owner of a stream is asked something."""

import pytest

from haproxy_voip.xmpp.errors import StreamError
from haproxy_voip.xmpp.framing import Framed, StreamFramer
from haproxy_voip.xmpp.header import StreamHeader
from haproxy_voip.xmpp.inbox import Inbox
from tests.xmpp.samples import HEADER, MESSAGE, PRESENCE, RECEIPT, opened, raws


def taken(inbox: Inbox) -> list[Framed]:
    items = []
    while (item := inbox.take()) is not None:
        items.append(item)
    return items


def test_what_comes_while_waiting_comes_after_it_in_order() -> None:
    inbox = Inbox(opened())
    inbox.put(MESSAGE + PRESENCE + RECEIPT[:50])
    assert raws([inbox.take() or StreamError]) == [MESSAGE]  # type: ignore[list-item]
    inbox.waiting = True
    assert inbox.take() is None and not inbox.idle
    inbox.put(RECEIPT[50:] + MESSAGE[:9])
    inbox.put(MESSAGE[9:])
    inbox.waiting = False
    assert raws(taken(inbox)) == [PRESENCE, RECEIPT, MESSAGE]
    assert inbox.idle


def test_what_waits_is_limited() -> None:
    framer = opened()
    framer.max_bytes = 1_000
    inbox = Inbox(framer)
    inbox.waiting = True
    for _ in range(1_000 // len(MESSAGE)):
        inbox.put(MESSAGE)
    with pytest.raises(StreamError, match="policy-violation"):
        inbox.put(MESSAGE)


def test_items_framed_elsewhere_come_first() -> None:
    inbox = Inbox(opened())
    inbox.put_back(opened().feed(PRESENCE))
    assert not inbox.idle
    inbox.put(MESSAGE)
    assert raws(taken(inbox)) == [PRESENCE, MESSAGE]


def test_a_restart_goes_on_with_what_came_ahead() -> None:
    inbox = Inbox(opened())
    inbox.put(PRESENCE + HEADER[:20])
    inbox.waiting = True
    inbox.put(HEADER[20:] + MESSAGE)
    inbox.waiting = False
    inbox.restart()
    items = taken(inbox)
    assert raws(items) == [PRESENCE, MESSAGE] and isinstance(items[1], StreamHeader)


def test_a_discard_forgets_what_came_ahead() -> None:
    inbox = Inbox(StreamFramer())
    inbox.put(HEADER + PRESENCE + MESSAGE[:30])
    inbox.waiting = True
    inbox.put(MESSAGE)
    inbox.discard()
    inbox.waiting = False
    assert taken(inbox) == []
    inbox.put(HEADER)
    assert len(taken(inbox)) == 1
