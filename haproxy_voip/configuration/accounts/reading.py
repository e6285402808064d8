"""From files of any known format to the users in them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from haproxy_voip.configuration.accounts import chan_sip, pjsip, tables
from haproxy_voip.configuration.accounts.found import Findings, Note, Place
from haproxy_voip.configuration.accounts.sections import Include, Sections

FORMATS = ("pjsip", "sip", "freepbx", "csv")
TYPE = re.compile(r"^[ \t]*type[ \t]*=>?[ \t]*(\w+)", re.MULTILINE | re.IGNORECASE)
SECTION = re.compile(r"^[ \t]*(\[[^\]\n]+\]|#(try)?include\b)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Source:
    """A file that was named."""

    path: Path
    text: str = field(repr=False)


def find(sources: Sequence[Source], format: str | None, include: Include) -> Findings:
    """Everybody in these files. Files of one format are read as one, because FreePBX writes a user into several.

    `format` is one of FORMATS, or None to look what each of them is.
    """
    findings = Findings()
    groups: dict[str, list[Source]] = {name: [] for name in FORMATS}
    for source in sources:
        found = format or detected(source)
        if found is None:
            why = "it cannot be told what this is; say so with --format"
            findings.bad.append(Note(Place(source.path, 1), "", why))
        else:
            groups[found].append(source)
    for module, name in ((pjsip, "pjsip"), (chan_sip, "sip")):
        if groups[name]:
            sections = Sections(include)
            for source in groups[name]:
                sections.read(source.path, source.text)
            findings.add(Findings(skipped=sections.skipped, bad=sections.bad))
            findings.add(module.find(sections.sections))
    for name in ("freepbx", "csv"):
        for source in groups[name]:
            findings.add(tables.find(source.path, source.text, freepbx=name == "freepbx"))
    return findings


def detected(source: Source) -> str | None:
    """What a file is, by what it says, else by its name."""
    if not SECTION.search(source.text) and tables.looks_like_one(source.text):
        return "freepbx" if tables.is_freepbx(source.text) else "csv"
    kinds = {kind.lower() for kind in TYPE.findall(source.text)}
    if kinds & pjsip.TYPES:
        return "pjsip"
    if kinds & chan_sip.TYPES:
        return "sip"
    name = source.path.name.lower()
    return next((known for known in ("pjsip", "sip") if known in name), None)
