"""Users in a table of comma-separated values (RFC 4180): a header, then one user a line.

user,password                      columns in any order, others are passed over; `ha1` may stand for `password`
extension,...,tech,...,secret,...  as the bulk handler of FreePBX exports it, where `password` is another thing
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from haproxy_voip.configuration.accounts.found import Account, Findings, Note, Place, Secret

DELIMITERS = (",", ";", "\t")
USER = ("user", "username", "extension", "login", "name")
PASSWORD = ("password", "secret")
HASH = ("ha1",)
# These together are FreePBX's.
FREEPBX = {"extension", "secret", "tech"}
FREEPBX_TECHS = ("sip", "pjsip")


@dataclass(frozen=True, slots=True)
class Columns:
    """Where in a row things are; their names as FreePBX or a plain table has them."""

    user: str
    secrets: Mapping[str, str]  # column -> field of Secret, the first that is filled counts
    tech: str | None = None


def looks_like_one(text: str) -> bool:
    """Whether its first line names columns we know."""
    return _columns(_header(text)) is not None


def is_freepbx(text: str) -> bool:
    """Whether its columns are those of FreePBX."""
    return set(_header(text)) >= FREEPBX


def find(path: Path, text: str, *, freepbx: bool | None = None) -> Findings:
    """Everybody in the table; without `freepbx` its columns say whose it is."""
    findings = Findings()
    header = _header(text)
    columns = _columns(header, freepbx=freepbx)
    if columns is None:
        wanted = "extension, tech and secret" if freepbx else f"user and password ({', '.join(USER)}; password, secret)"
        findings.bad.append(Note(Place(path, 1), "", f"the first line must name columns: {wanted}"))
        return findings
    for line, row in _rows(text, path, findings):
        place = Place(path, line)
        if len(row) != len(header):
            why = f"has {len(row)} columns, the first line has {len(header)}; quote what holds the delimiter"
            findings.bad.append(Note(place, "", why))
            continue
        _take(dict(zip(header, map(str.strip, row), strict=True)), columns, place, findings)
    return findings


def _take(row: Mapping[str, str], columns: Columns, place: Place, findings: Findings) -> None:
    user = row[columns.user]
    if columns.tech is not None and row[columns.tech].lower() not in FREEPBX_TECHS:
        findings.skipped.append(Note(place, user, f"is no SIP phone but {row[columns.tech] or 'nothing'}"))
        return
    for column, field in columns.secrets.items():
        if row[column]:
            findings.accounts.append(Account(user, Secret(**{field: row[column]}), place))
            return
    if columns.tech is not None:
        findings.skipped.append(Note(place, user, "has no secret"))
    else:
        findings.bad.append(Note(place, user, "has no password"))


def _columns(header: Sequence[str], *, freepbx: bool | None = None) -> Columns | None:
    ours = set(header) >= FREEPBX if freepbx is None else freepbx
    if ours:
        return Columns("extension", {"secret": "password"}, "tech") if set(header) >= FREEPBX else None
    user = next((name for name in USER if name in header), None)
    secrets = {name: "password" for name in PASSWORD if name in header} | {n: "ha1" for n in HASH if n in header}
    return Columns(user, secrets) if user is not None and secrets else None


def _delimiter(text: str) -> str:
    first = text.partition("\n")[0]
    return max(DELIMITERS, key=first.count)


def _header(text: str) -> list[str]:
    text = text.removeprefix("\ufeff")
    try:
        row = next(csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text)), [])
    except csv.Error:
        return []
    return [name.strip().lower() for name in row]


def _rows(text: str, path: Path, findings: Findings) -> Iterator[tuple[int, list[str]]]:
    """The rows below the header, with the line each begins at."""
    text = text.removeprefix("\ufeff")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    line = 1
    try:
        for row in reader:
            if line > 1 and any(map(str.strip, row)):
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        findings.bad.append(Note(Place(path, line), "", f"cannot be read from here on: {error}"))
