"""How long datagrams wait, told by marks."""

from __future__ import annotations

from haproxy_voip.edge.queueing import LOST_AFTER, MARK, Queue


class Line:
    """A queue that the test fills and empties."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.filled = False
        self.queue = Queue(self.sent.append, lambda: self.filled)

    def warm(self, at: float = 0.0) -> Queue:
        """One mark went through."""
        assert self.queue.wait(at) == 0.0
        self.queue.read(at + 0.001)
        return self.queue


def test_the_wait_is_that_of_the_last_mark() -> None:
    line = Line()
    queue = line.warm()
    assert round(queue.wait(0.1), 6) == 0.001
    queue.read(0.35)
    assert round(queue.wait(0.4), 6) == 0.25
    assert line.sent == [MARK, MARK, MARK]


def test_a_mark_that_is_under_way_counts_with_its_age_while_anything_waits() -> None:
    line = Line()
    queue = line.warm()
    queue.wait(1.0)
    line.filled = True
    assert round(queue.wait(1.3), 6) == 0.3
    line.filled = False
    assert queue.wait(1.4) == 0.0
    assert len(line.sent) == 2  # one at a time


def test_a_mark_that_was_lost_in_a_full_queue_is_sent_again_and_counts() -> None:
    line = Line()
    queue = line.warm()
    line.filled = True
    queue.wait(1.0)
    assert queue.wait(1.0 + LOST_AFTER) == LOST_AFTER
    queue.wait(3.1)
    assert len(line.sent) == 3


def test_where_marks_never_arrive_nobody_is_late() -> None:
    line = Line()
    line.filled = True
    assert [line.queue.wait(at / 10) for at in range(100)] == [0.0] * 100
    assert len(line.sent) > 3


def test_where_marks_arrive_no_more_nobody_is_late_for_ever() -> None:
    line = Line()
    queue = line.warm()
    queue.wait(1.0)
    waits = [queue.wait(1.0 + at / 10) for at in range(100)]
    assert waits == [0.0] * 100


def test_a_mark_nobody_sent_says_nothing() -> None:
    line = Line()
    line.queue.read(5.0)
    assert line.queue.wait(6.0) == 0.0
