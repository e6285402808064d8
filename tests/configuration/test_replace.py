"""A file is replaced as a whole, and one writer waits for the other."""

import threading
from pathlib import Path

import pytest

from haproxy_voip.configuration.replace import locked, new_file, replace_file


def mode(file: Path) -> int:
    return file.stat().st_mode & 0o777


def test_a_new_file_is_its_owner_s_only(tmp_path: Path) -> None:
    replace_file(tmp_path / "new", "text\r\n")
    assert (tmp_path / "new").read_bytes() == b"text\r\n"
    assert mode(tmp_path / "new") == 0o600


def test_an_old_one_keeps_its_mode_but_what_everybody_may(tmp_path: Path) -> None:
    file = tmp_path / "old"
    file.write_text("old")
    file.chmod(0o644)
    replace_file(file, "new")
    assert (file.read_text(), mode(file)) == ("new", 0o640)


def test_a_failure_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    file = tmp_path / "old"
    file.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        replace_file(file, "\udc80")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_second_writer_waits_for_the_first(tmp_path: Path) -> None:
    order = []

    def second() -> None:
        with locked(tmp_path):
            order.append("second")

    with locked(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(timeout=0.05)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_file_is_made_after_it_was_looked_at_and_not_in_the_place_of_another(tmp_path: Path) -> None:
    file, seen = tmp_path / "new", []
    new_file(file, "text", lambda there: seen.append((there.parent, there.read_text(), mode(there))), replace=False)
    assert seen == [(tmp_path, "text", 0o600)] and file.read_text() == "text" and mode(file) == 0o600
    with pytest.raises(FileExistsError):
        new_file(file, "other", lambda there: None, replace=False)
    file.chmod(0o644)
    assert file.read_text() == "text"
    new_file(file, "other", lambda there: None, replace=True)
    assert (file.read_text(), mode(file)) == ("other", 0o600) and list(tmp_path.iterdir()) == [file]


def test_what_is_found_bad_leaves_nothing(tmp_path: Path) -> None:
    def refuse(there: Path) -> None:
        raise ValueError(there.read_text())

    with pytest.raises(ValueError, match="text"):
        new_file(tmp_path / "new", "text", refuse, replace=False)
    assert list(tmp_path.iterdir()) == []
