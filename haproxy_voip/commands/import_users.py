"""`users import`: users of another system, written into the users' file."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from haproxy_voip.commands import DONE, REFUSED, Failure, Parsers
from haproxy_voip.commands.import_files import Files
from haproxy_voip.commands.tables import table
from haproxy_voip.commands.users_file import add_common, load_users, realm_of, tell_running, users_path
from haproxy_voip.configuration import users
from haproxy_voip.configuration.accounts import reading
from haproxy_voip.configuration.accounts.found import Findings, Note, printable
from haproxy_voip.configuration.accounts.merging import How, Plan, Verdict, plan
from haproxy_voip.configuration.errors import ConfigErrors
from haproxy_voip.core.credential import Credential

Rows = list[dict[str, str]]


def add(actions: Parsers) -> None:
    """Tell argparse."""
    parser = actions.add_parser(
        "import",
        help="add the users of an Asterisk, a FreePBX or a table",
        description=(
            "Reads pjsip.conf, sip.conf and what they include, pjsip_wizard.conf, FreePBX's files of these and its "
            "bulk handler's CSV, and CSV with a header that names user and password. Users who are there already stay "
            "as they are, and so do comments. Passwords are never shown. A running proxy is told at once."
        ),
    )
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="read as one, where users span several")
    parser.add_argument("--format", choices=reading.FORMATS, help="what they are (default: what they look like)")
    parser.add_argument("--dry-run", action="store_true", help="show what would be done, and do nothing")
    parser.add_argument("--replace", action="store_true", help="change users who are there with another secret")
    parser.add_argument("--skip-bad", action="store_true", help="pass over what is wrong instead of writing nothing")
    parser.add_argument(
        "--hashed",
        action="store_true",
        help="store hashes only; backends that challenge in another realm can then not be answered",
    )
    parser.add_argument("--realm", help="the realm of a file that does not exist yet (default: proxy.domain)")
    add_common(parser, import_users)


def import_users(options: argparse.Namespace) -> int:
    """Read, say what is wrong, write, tell the running proxy."""
    path = users_path(options)
    realm = realm_of(options, path)
    how = How(replace=options.replace, hashed=options.hashed)
    files = Files()
    findings = reading.find(files.named(options.files), options.format, files.include)
    known = load_users(path) if path.exists() else users.Users(realm=realm)
    if known.realm != realm:
        raise Failure(REFUSED, f"the realm of {path} is {known.realm!r}, not {realm!r}")
    made = plan(known, findings.accounts, how)
    bad = sorted(findings.bad + made.bad, key=lambda note: note.place)
    if bad and not options.skip_bad:
        _refuse(options, bad)
    comments_stay, told = True, False
    if not options.dry_run and made.credentials:
        made, comments_stay = _write(path, realm, findings, how)
        told = tell_running(options)
    others = len(known.credentials) - made.count(Verdict.KEPT) - made.count(Verdict.CHANGED)
    said = _said(options, made, others, comments_stay=comments_stay, told=told)
    rows = _rows(made, findings.skipped, bad)
    if options.json:
        counts = {str(verdict): made.count(verdict) for verdict in Verdict}
        counts |= {"skipped": len(findings.skipped), "bad": len(bad), "others": others}
        written = not options.dry_run and bool(made.credentials)
        what = {"file": str(path), "realm": realm, "written": written, "comments_stayed": comments_stay}
        print(json.dumps(what | {"running_proxy_told": told, "counts": counts, "rows": rows}))
    else:
        print("\n".join(([table(rows), ""] if rows else []) + [f"{path}: {said}"]))
    return DONE


def _write(path: Path, realm: str, findings: Findings, how: How) -> tuple[Plan, bool]:
    """Beside those who are there at that moment: somebody else may have written since. What was done, and whether
    comments stayed."""
    made = Plan()

    def decide(known: users.Users) -> Sequence[Credential]:
        nonlocal made
        made = plan(known, findings.accounts, how)
        return made.credentials

    try:
        comments_stayed = users.merge(path, realm, decide)
    except (ConfigErrors, ValueError) as error:
        raise Failure(REFUSED, str(error)) from None
    except OSError as error:
        raise Failure(REFUSED, f"{path}: cannot be written: {error.strerror or error}") from None
    return made, comments_stayed


def _refuse(options: argparse.Namespace, bad: Sequence[Note]) -> None:
    if options.json:
        print(json.dumps({"written": False, "rows": _rows(Plan(), [], bad)}))
    wrong = "\n".join(map(str, bad))
    count = "one thing is" if len(bad) == 1 else f"{len(bad)} things are"
    raise Failure(
        REFUSED,
        f"{wrong}\n{count} wrong: nothing was written; correct that, or pass over it with --skip-bad",
    )


def _said(options: argparse.Namespace, made: Plan, others: int, *, comments_stay: bool, told: bool) -> str:
    counts = ", ".join(f"{made.count(verdict)} {verdict}" for verdict in Verdict)
    text = f"{counts}; {others} others untouched"
    if options.dry_run:
        return f"{text}; nothing was written (--dry-run)"
    if not made.credentials:
        return f"{text}; nothing was to be written"
    if not comments_stay:
        print(
            "users were not one on a line: the file was written anew, and comments below its head are lost",
            file=sys.stderr,
        )
    return f"{text}; " + ("the running proxy knows" if told else "no running proxy was told")


def _rows(made: Plan, skipped: Sequence[Note], bad: Sequence[Note]) -> Rows:
    found = [(str(row.verdict), row.user, row.place, row.why) for row in made.rows]
    for word, notes in (("skipped", skipped), ("bad", bad)):
        found += [(word, note.what, note.place, note.why) for note in notes]
    return [
        {"done": word, "who": printable(who), "where": printable(str(place)), "why": printable(why)}
        for word, who, place, why in found
    ]
