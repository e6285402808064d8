"""Records in a file: appended to, opened anew, and a disk that fails stops nobody."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from haproxy_voip.edge import record_file
from haproxy_voip.edge.facts import AskedToReload, RecordsLost, RecordsNotWritten
from haproxy_voip.edge.record_file import RecordFile


class Echo:
    """A line for each text; `later` comes when it is asked what is due, `last` at the end."""

    wanted: frozenset[type] = frozenset({str})

    def __init__(self) -> None:
        self.later: list[str] = []
        self.asked = threading.Event()

    def take(self, fact: object, at: float) -> list[str]:
        assert abs(at - time.time()) < 60
        return [f"{fact}\n"]

    def due(self, at: float) -> list[str]:
        lines, self.later = self.later, []
        self.asked.set()
        return lines

    def rest(self) -> list[str]:
        return ["the rest\n"]


def wait(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 5
    while not true():
        assert time.monotonic() < until
        time.sleep(0.002)


def test_lines_are_appended_as_they_come_and_the_rest_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_text("before\n")
    file = RecordFile(path, Echo(), pytest.fail)
    file("one")
    file(2)
    file("two")
    file.close()
    assert path.read_text() == "before\none\ntwo\nthe rest\n"


def test_what_is_due_is_written_though_nothing_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_file, "LOOK_AGAIN", 0.005)
    records, path = Echo(), tmp_path / "calls.jsonl"
    file = RecordFile(path, records, pytest.fail)
    records.later = ["late\n"]
    wait(lambda: path.read_text() == "late\n")
    file.close()


def test_what_is_due_is_asked_for_though_much_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_file, "LOOK_AGAIN", 0.005)
    records = Echo()
    file = RecordFile(tmp_path / "calls.jsonl", records, pytest.fail)
    records.asked.clear()
    until = time.monotonic() + 5
    while not records.asked.is_set() and time.monotonic() < until:
        file("busy")
        time.sleep(0.001)
    assert records.asked.is_set()
    file.close()


def test_at_sighup_a_file_that_was_renamed_is_left_alone(tmp_path: Path) -> None:
    path, rotated = tmp_path / "calls.jsonl", tmp_path / "calls.jsonl.1"
    file = RecordFile(path, Echo(), pytest.fail)
    file("one")
    wait(lambda: path.read_text() == "one\n")
    path.rename(rotated)
    file("two")
    file(AskedToReload())
    file("three")
    file.close()
    assert rotated.read_text() == "one\ntwo\n"
    assert path.read_text() == "three\nthe rest\n"


def test_only_who_may_reads_who_called_whom(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    RecordFile(path, Echo(), pytest.fail).close()
    assert path.stat().st_mode & 0o007 == 0


def test_a_file_that_cannot_be_opened_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        RecordFile(tmp_path / "nowhere" / "calls.jsonl", Echo(), pytest.fail)


def test_a_disk_that_fails_is_told_once_and_again_when_it_is_back(tmp_path: Path) -> None:
    told: list[object] = []
    folder = tmp_path / "disk"
    folder.mkdir()
    path = folder / "calls.jsonl"
    file = RecordFile(path, Echo(), told.append)
    file("one")
    wait(lambda: path.read_text() == "one\n")
    path.rename(tmp_path / "gone")
    folder.rmdir()
    file(AskedToReload())
    file("two")
    file("three")
    wait(lambda: len(told) == 1)
    wait(lambda: file._lost == 2)
    folder.mkdir()
    file("four")
    file.close()
    assert [type(fact) for fact in told] == [RecordsNotWritten, RecordsLost]
    assert told[1] == RecordsLost(str(path), 2)
    assert path.read_text() == "four\nthe rest\n"


def test_facts_that_come_too_fast_are_dropped_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_file, "MAX_WAITING", 2)
    go_on = threading.Event()

    class Slow(Echo):
        def take(self, fact: object, at: float) -> list[str]:
            go_on.wait(5)
            return super().take(fact, at)

    path = tmp_path / "calls.jsonl"
    file = RecordFile(path, Slow(), pytest.fail)
    for number in range(10):
        file(str(number))
    go_on.set()
    file.close()
    assert file.dropped >= 7
    assert len(path.read_text().splitlines()) == 10 - file.dropped + 1


def test_what_comes_after_a_move_stands_in_the_other_file(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "one", Echo(), pytest.fail)
    file("first")
    file.move(tmp_path / "two")
    file("second")
    file.move(file.path)  # where it is already
    file.close()
    assert (tmp_path / "one").read_text() == "first\n"
    assert (tmp_path / "two").read_text() == "second\nthe rest\n"
