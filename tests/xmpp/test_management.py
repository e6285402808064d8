"""Stream management (XEP-0198)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haproxy_voip.xmpp.element import parse_element
from haproxy_voip.xmpp.errors import StreamCondition, StreamError
from haproxy_voip.xmpp.management import (
    MAX_HANDLED_AHEAD,
    MAX_UNACKNOWLEDGED,
    MAX_UNACKNOWLEDGED_BYTES,
    REQUEST_EVERY,
    WRAP,
    Enable,
    Enabled,
    Failed,
    Received,
    Resume,
    Unacknowledged,
    answer,
    count_of,
)
from tests.xmpp.samples import stanza


def sent(count: int, size: int = 100) -> Unacknowledged[int]:
    queue: Unacknowledged[int] = Unacknowledged()
    for number in range(1, count + 1):
        assert queue.push(number, size) == number
    return queue


def test_what_is_acknowledged_leaves_the_queue_in_order() -> None:
    """Section 4, example 4 and 5."""
    queue = sent(5)
    assert queue.acknowledge(3) == [1, 2, 3]
    assert (queue.acknowledged, queue.sent, len(queue), queue.bytes) == (3, 5, 2, 200)
    assert queue.pending() == [4, 5]
    assert queue.acknowledge(3) == []
    assert queue.acknowledge(5) == [4, 5] and queue.bytes == 0


@pytest.mark.parametrize("h", [6, 7, 2**31, 2**32 - 1, 2])
def test_more_than_was_sent_cannot_be_acknowledged(h: int) -> None:
    """Section 4: "the other party acknowledges stanzas that have not been sent"; nor can anything be taken back."""
    queue = sent(5)
    queue.acknowledge(3)
    with pytest.raises(StreamError) as caught:
        queue.acknowledge(h)
    assert caught.value.condition is StreamCondition.UNDEFINED_CONDITION
    told = parse_element(caught.value.application)
    assert (told.name, told.namespace) == ("handled-count-too-high", "urn:xmpp:sm:3")
    assert told.attributes == {"h": str(h), "send-count": "5"}
    assert queue.pending() == [4, 5]


def test_counts_wrap_at_two_to_the_thirty_second() -> None:
    """Section 4: "the value of 'h' SHALL be reset from 2^32-1 back to zero"."""
    queue = sent(3)
    queue.acknowledged = WRAP - 2  # so many were sent and acknowledged before
    assert queue.acknowledge(WRAP - 1) == [1]
    assert queue.acknowledge(1) == [2, 3]
    received = Received()
    received.count = received.handled = WRAP - 1
    received.handle(received.receive())
    assert received.h == 0


@given(st.permutations(range(1, 9)))
def test_only_the_handled_prefix_is_acknowledged(order: list[int]) -> None:
    received, done = Received(), set[int]()
    for _ in order:
        received.receive()
    for number in order:
        received.handle(number)
        done.add(number)
        assert received.h == next(count for count in range(9) if count + 1 not in done)


def test_handling_twice_is_handling_once() -> None:
    received = Received()
    for _ in range(3):
        received.receive()
    for number in (2, 2, 1, 1, 2):
        received.handle(number)
    assert received.h == 2


def test_stanzas_handled_early_are_limited() -> None:
    received = Received()
    for number in range(2, MAX_HANDLED_AHEAD + 10):
        received.handle(number)
    received.handle(1)
    assert received.h == MAX_HANDLED_AHEAD + 1


def test_the_queue_is_limited_in_stanzas_and_in_bytes() -> None:
    assert not sent(MAX_UNACKNOWLEDGED - 1).full and sent(MAX_UNACKNOWLEDGED).full
    assert not sent(4, MAX_UNACKNOWLEDGED_BYTES // 4 - 1).full and sent(4, MAX_UNACKNOWLEDGED_BYTES // 4).full


def test_an_acknowledgement_is_asked_for_every_few_stanzas() -> None:
    queue = sent(REQUEST_EVERY - 1)
    assert not queue.wants_request and queue.unasked
    queue.push(REQUEST_EVERY, 1)
    assert queue.wants_request
    queue.requested()
    assert not queue.wants_request and not queue.unasked
    queue.acknowledge(REQUEST_EVERY)
    queue.push(6, 1)
    assert queue.unasked


def test_a_new_session_begins_at_zero_with_what_was_left() -> None:
    queue = sent(4)
    queue.acknowledge(1)
    assert queue.clear() == [2, 3, 4]
    assert (queue.sent, queue.acknowledged, queue.bytes, len(queue)) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"<enable xmlns='urn:xmpp:sm:3'/>", Enable()),
        (b"<enable xmlns='urn:xmpp:sm:3' resume='true' max='600'/>", Enable(True, 600)),
        (b"<enable xmlns='urn:xmpp:sm:3' resume='1' max='soon'/>", Enable(True, None)),
        (b"<enable xmlns='urn:xmpp:sm:3' resume='false' max='99999999999'/>", Enable(False, None)),
    ],
)
def test_enable(raw: bytes, expected: Enable) -> None:
    """Section 3, example 2, and section 5, example 6."""
    found = stanza(raw)
    assert Enable.of(found.attributes) == expected
    assert Enable.of(stanza(expected.encode()).attributes) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"<enabled xmlns='urn:xmpp:sm:3'/>", Enabled()),
        (b"<enabled xmlns='urn:xmpp:sm:3' id='some-long-sm-id' resume='true'/>", Enabled("some-long-sm-id")),
        (b"<enabled xmlns='urn:xmpp:sm:3' id='a' resume='1' max='5' location='b:1'/>", Enabled("a", 5, "b:1")),
        (b"<enabled xmlns='urn:xmpp:sm:3' id='not-resumable'/>", Enabled()),
    ],
)
def test_enabled(raw: bytes, expected: Enabled) -> None:
    """Section 3, example 3, and section 5, example 7."""
    assert Enabled.of(stanza(raw).attributes) == expected
    assert Enabled.of(stanza(expected.encode()).attributes) == expected


@pytest.mark.parametrize("name", ["resume", "resumed"])
def test_resume_and_resumed(name: str) -> None:
    """Section 5, examples 8 and 9."""
    found = stanza(Resume("some-long-sm-id", 5).encode(name))
    assert found.name == name and Resume.of(found.attributes) == Resume("some-long-sm-id", 5)


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"previd": "a"},
        {"h": "5"},
        {"previd": "", "h": "5"},
        {"previd": "a", "h": "-1"},
        {"previd": "a", "h": "4294967296"},
        {"previd": "a", "h": "٥"},
        {"previd": "a" * 2000, "h": "1"},
    ],
)
def test_a_resume_that_makes_no_sense(attributes: dict[str, str]) -> None:
    assert Resume.of(attributes) is None


@pytest.mark.parametrize(
    "failed", [Failed("item-not-found"), Failed("item-not-found", 0), Failed("unexpected-request")]
)
def test_failed(failed: Failed) -> None:
    """Section 5, examples 10 and 11."""
    assert Failed.of(stanza(failed.encode()).element()) == failed


def test_failed_without_a_condition() -> None:
    assert Failed.of(parse_element(b"<failed xmlns='urn:xmpp:sm:3' h='x'/>")) == Failed("undefined-condition")


def test_answers() -> None:
    found = stanza(answer(2**32 - 1))
    assert found.name == "a" and count_of(found.attributes) == 2**32 - 1
