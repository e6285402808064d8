"""Which format a file has, and files that belong together."""

from pathlib import Path

import pytest

from haproxy_voip.configuration.accounts.reading import Source, detected, find
from haproxy_voip.configuration.accounts.sections import Included
from tests.configuration.accounts.conf import passwords, told


def nothing(pattern: str, missing_is_fine: bool) -> list[Included]:
    return []


@pytest.mark.parametrize(
    ("name", "text", "format"),
    [
        ("whatever", "[1001]\ntype = auth\n", "pjsip"),
        ("whatever", "[1001]\n  type=>friend\n", "sip"),
        ("pjsip.conf", "#include pjsip.auth.conf\n", "pjsip"),
        ("sip_custom.conf", "[1001](phone)\nsecret=x\n", "sip"),
        ("sip.conf", "[1001]\ntype=endpoint\n", "pjsip"),
        ("sip_users.csv", "user,password\n", "csv"),
        ("whatever", "extension,tech,secret\n", "freepbx"),
        ("pjsip.conf", "; nothing but comments\n", "pjsip"),
        ("users.conf", "[6000]\nhassip=yes\n", None),
        ("notes.txt", "Dear Sir,\n", None),
        ("empty", "", None),
    ],
)
def test_a_file_is_known_by_what_it_says_then_by_its_name(name: str, text: str, format: str | None) -> None:
    assert detected(Source(Path(name), text)) == format


def test_files_of_one_format_are_read_as_one_and_others_beside_them() -> None:
    found = find(
        [
            Source(Path("pjsip.endpoint.conf"), "[1]\ntype=endpoint\naors=1\nauth=1-auth\n"),
            Source(Path("sip.conf"), "[1-auth]\ntype=friend\nsecret=sip\n"),
            Source(Path("pjsip.auth.conf"), "[1-auth]\ntype=auth\nusername=1\npassword=pjsip\n"),
            Source(Path("more.csv"), "user,password\n2,csv\n"),
        ],
        None,
        nothing,
    )
    assert passwords(found) == {"1": "pjsip", "1-auth": "sip", "2": "csv"} and told(found) == []


def test_a_format_that_is_given_is_believed() -> None:
    found = find([Source(Path("x"), "[1]\nsecret=x\n")], "sip", nothing)
    assert told(found) == ["x:1: [1]: has no type; Asterisk passes it over as well"]


def test_what_cannot_be_told_apart_is_told() -> None:
    found = find([Source(Path("users.conf"), "[6000]\nhassip=yes\n")], None, nothing)
    assert told(found) == ["users.conf:1: it cannot be told what this is; say so with --format"]


def test_a_source_is_not_shown() -> None:
    assert "hunter2" not in repr(Source(Path("x"), "hunter2"))
