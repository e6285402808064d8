"""Which files an import reads, and which it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from haproxy_voip.commands import Failure, import_files
from haproxy_voip.commands.import_files import Files
from haproxy_voip.configuration.accounts.sections import CannotInclude


@pytest.fixture
def asterisk(tmp_path: Path) -> Path:
    folder = tmp_path / "asterisk"
    (folder / "pjsip.d").mkdir(parents=True)
    (folder / "pjsip.conf").write_text("#include pjsip.d/*.conf\n")
    (folder / "pjsip.d" / "b.conf").write_text("b")
    (folder / "pjsip.d" / "a.conf").write_bytes(b"caf\xe9")
    (tmp_path / "secret.conf").write_text("outside")
    return folder


@pytest.fixture
def files(asterisk: Path) -> Files:
    files = Files()
    files.named([asterisk / "pjsip.conf"])
    return files


def names(files: Files, pattern: str, *, missing_is_fine: bool = False) -> list[str]:
    return [each.path.name for each in files.include(pattern, missing_is_fine)]


def test_patterns_are_looked_for_in_the_folder_of_the_file_that_was_named(files, asterisk):
    assert names(files, "pjsip.d/*.conf") == ["a.conf", "b.conf"]
    assert names(files, str(asterisk / "pjsip.d" / "b.conf")) == ["b.conf"]
    assert files.include("pjsip.d/a.conf", False)[0].text == "caf\udce9"
    assert names(files, "none/*.conf") == [] and names(files, "none.conf", missing_is_fine=True) == []


@pytest.mark.parametrize("pattern", ["../secret.conf", "/etc/passwd", "pjsip.d/../../secret.conf", "../*.conf"])
def test_nothing_outside_of_it_is_read(files, pattern):
    with pytest.raises(CannotInclude, match=r"is outside of .*/asterisk/ and not followed"):
        files.include(pattern, True)


def test_a_link_in_the_folder_was_put_there_by_its_owner(files, asterisk, tmp_path):
    (asterisk / "link.conf").symlink_to(tmp_path / "secret.conf")
    assert names(files, "link.conf") == ["link.conf"]


def test_a_file_named_without_a_folder_is_in_this_one(asterisk, monkeypatch):
    monkeypatch.chdir(asterisk)
    files = Files()
    files.named([Path("pjsip.conf")])
    assert names(files, "pjsip.d/b.conf") == ["b.conf"]
    assert files.include("pjsip.d/b.conf", False)[0].path == Path("pjsip.d/b.conf")


def test_what_cannot_be_read_is_told(files, asterisk):
    with pytest.raises(CannotInclude, match="there is no such file"):
        files.include("none.conf", False)
    with pytest.raises(Failure, match=r"none\.conf: cannot be read: No such file"):
        files.named([asterisk / "none.conf"])


@pytest.mark.parametrize(
    ("limit", "least", "says"), [("MAX_FILES", 2, "more than 2 files"), ("MAX_BYTES", 28, "more than 28 bytes in all")]
)
def test_files_and_bytes_have_limits(asterisk, monkeypatch, limit, least, says):
    monkeypatch.setattr(import_files, limit, least)
    files = Files()
    files.named([asterisk / "pjsip.conf"])
    with pytest.raises(CannotInclude, match=says):
        files.include("pjsip.d/*.conf", False)
