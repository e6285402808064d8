"""The language of Asterisk's configuration files, as main/config.c of Asterisk reads it.

    [name]  [name](!)  [name](template,other)  [name](+)  [name](+type=endpoint)
    key = value    key => value    key += more    ; comment    ;-- a comment of several lines --;
    #include file  #tryinclude "file"  #exec program

Sans-I/O: whoever owns the files hands in how includes are found. Nothing is ever executed. Where Asterisk would give
up the whole file, the line is told as bad and reading goes on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from haproxy_voip.configuration.accounts.found import Note, Place

# Asterisk's own limit.
MAX_INCLUDE_DEPTH = 10
# 50,000 phones that each inherit 60 settings; templates that inherit each other twice would double without end.
MAX_VALUES = 5_000_000
# Asterisk's own limit.
MAX_NESTED_COMMENTS = 128

# What Asterisk takes for space; other spaces of Unicode may be part of a password.
BLANK = "".join(map(chr, range(33)))

HEADER = re.compile(r"\[(?P<name>[^\]]*)\](?P<options>\((?P<inside>[^)]*)(?P<closed>\))?)?")
DIRECTIVE = re.compile(r"#(?P<word>\S*)\s*(?P<argument>.*)")
QUOTED = re.compile(r'"(?P<quoted>[^"]*)"?|<(?P<angled>[^>]*)>?')


@dataclass(frozen=True, slots=True)
class Value:
    """`name = text`; names in lower case, because Asterisk compares them so."""

    name: str
    text: str = field(repr=False)  # may be a password
    place: Place


@dataclass(slots=True)
class Section:
    """One category; its values in order, inherited ones first."""

    name: str
    place: Place
    template: bool = False
    values: list[Value] = field(default_factory=list)

    def value(self, name: str) -> Value | None:
        """The last one of this name, which is the one that counts."""
        return next((value for value in reversed(self.values) if value.name == name), None)

    def text(self, name: str) -> str:
        """Its text; empty where there is none."""
        value = self.value(name)
        return "" if value is None else value.text

    def listed(self, name: str) -> list[str]:
        """The parts of a comma-separated one."""
        return [part for part in map(str.strip, self.text(name).split(",")) if part]


@dataclass(frozen=True, slots=True)
class Included:
    """A file that an #include leads to."""

    path: Path
    text: str = field(repr=False)


class CannotInclude(Exception):
    """The files that an #include names cannot be had; the text says why."""


# Pattern, and whether it may lead nowhere (#tryinclude). Raises CannotInclude.
Include = Callable[[str, bool], Sequence[Included]]


class Sections:
    """Reads files, one after the other, into one list of sections."""

    def __init__(self, include: Include) -> None:
        self.sections: list[Section] = []
        self.skipped: list[Note] = []
        self.bad: list[Note] = []
        self._include = include
        self._stack: list[Path] = []  # the file that is read, below those that led to it
        self._by_name: dict[str, list[Section]] = {}
        self._values = 0

    def read(self, path: Path, text: str, section: Section | None = None) -> None:
        """One file and all that it includes; what stands before its first header goes to `section`."""
        self._stack.append(path)
        for line, content in uncommented(text):
            place = Place(path, line)
            if content.startswith("["):
                section = self._header(content, place)
            elif content.startswith("#"):
                self._directive(content, place, section)
            else:
                self._value(content, place, section)
        self._stack.pop()

    def _header(self, content: str, place: Place) -> Section | None:
        found = HEADER.match(content)
        if found is None:
            self.bad.append(Note(place, "", "a section's name has no closing bracket"))
            return None
        if found["options"] and not found["closed"]:
            self.bad.append(Note(place, f"[{found['name']}]", "its options have no closing parenthesis"))
            return None
        section = Section(found["name"], place)
        # As in Asterisk, a space before the parenthesis makes it nobody's: `[x] (!)` is no template.
        for option in (part.strip(BLANK) for part in (found["inside"] or "").split(",")):
            if option == "!":
                section.template = True
            elif option.startswith("+"):
                return self._added_to(section, option[1:])
            elif option:
                self._inherit(section, option)
        self.sections.append(section)
        self._by_name.setdefault(section.name.lower(), []).append(section)
        return section

    def _added_to(self, section: Section, filters: str) -> Section | None:
        """`[name](+)`: the section that is there already, the first that passes the filters."""
        for known in self._by_name.get(section.name.lower(), ()):
            if _passes(known, filters):
                self._extend(known, section.values, section.place)
                return known
        self.bad.append(Note(section.place, f"[{section.name}](+)", "there is no such section to add to"))
        return None

    def _inherit(self, section: Section, name: str) -> None:
        base = next(iter(self._by_name.get(name.lower(), ())), None)
        if base is None:
            self.bad.append(Note(section.place, f"[{section.name}]", f"inherits from {name!r}, which is not there"))
            return
        self._extend(section, base.values, section.place)

    def _extend(self, section: Section, values: Sequence[Value], place: Place) -> None:
        self._values += len(values)
        if self._values > MAX_VALUES:
            self.bad.append(Note(place, f"[{section.name}]", f"templates make more than {MAX_VALUES} settings"))
            self._values -= len(values)
            return
        section.values += values

    def _value(self, content: str, place: Place, section: Section | None) -> None:
        name, equals, text = content.partition("=")
        if not equals:
            self.bad.append(Note(place, "", "neither a section nor `key = value`"))
            return
        if section is None:
            self.bad.append(Note(place, "", "stands in no section"))
            return
        text = text.removeprefix(">").strip(BLANK)
        if name.endswith("+"):
            name = name[:-1]
            text = section.text(name.strip(BLANK).lower()) + text
        self._extend(section, [Value(name.strip(BLANK).lower(), text, place)], place)

    def _directive(self, content: str, place: Place, section: Section | None) -> None:
        found = DIRECTIVE.match(content)
        assert found is not None, "it begins with #"
        word, argument = found["word"].lower(), _unquoted(found["argument"])
        if word == "exec":
            self.skipped.append(Note(place, "#exec", "nothing is executed; what it would write is not imported"))
        elif word not in ("include", "tryinclude"):
            self.skipped.append(Note(place, "", "an unknown directive, which Asterisk passes over as well"))
        elif not argument:
            self.bad.append(Note(place, f"#{word}", "names no file"))
        else:
            self._follow(argument, place, section, missing_is_fine=word == "tryinclude")

    def _follow(self, pattern: str, place: Place, section: Section | None, *, missing_is_fine: bool) -> None:
        if len(self._stack) >= MAX_INCLUDE_DEPTH:
            self.bad.append(Note(place, f"#include {pattern}", f"is more than {MAX_INCLUDE_DEPTH} files deep"))
            return
        try:
            found = self._include(pattern, missing_is_fine)
        except CannotInclude as error:
            self.bad.append(Note(place, f"#include {pattern}", str(error)))
            return
        for each in found:
            if each.path in self._stack:
                self.bad.append(Note(place, f"#include {pattern}", f"{each.path.name} includes itself"))
            else:
                self.read(each.path, each.text, section)


def uncommented(text: str) -> list[tuple[int, str]]:
    """The lines that say something, with their numbers, without comments and the space around them."""
    found, depth = [], 0
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        content, depth = _content(line, depth)
        if content := content.strip(BLANK):
            found.append((number, content))
    return found


def _content(line: str, depth: int) -> tuple[str, int]:
    """What of a line stands outside of comments; `depth` is how many ;-- are open."""
    kept, start = "", 0  # `start`: where what is neither kept nor dropped yet begins
    opened = 0  # where what a ;-- of this line opened begins: in `;--;` the dashes are its own
    at = line.find(";")
    while at != -1:
        if at > 0 and line[at - 1] == "\\":
            if depth == 0:
                kept += line[start : at - 1]
                start = at
        elif line.startswith(";--", at) and line[at + 3 : at + 4] != "-":
            if depth == 0:
                kept += line[start:at]
            depth = min(depth + 1, MAX_NESTED_COMMENTS)
            opened = at + 3
            at += 2
        elif depth and at >= opened + 2 and line[at - 2 : at] == "--":
            depth -= 1
            start = at + 1
        elif depth == 0:
            return kept + line[start:at], 0
        at = line.find(";", at + 1)
    return (kept if depth else kept + line[start:]), depth


def _unquoted(argument: str) -> str:
    found = QUOTED.match(argument)
    if found is None:
        return argument.strip()
    return (found["quoted"] if found["quoted"] is not None else found["angled"] or "").strip()


def _passes(section: Section, filters: str) -> bool:
    """`type=endpoint&name_regex=value_regex`, each of which some value of the section must fit."""
    for each in filter(None, filters.split("&")):
        name, _, text = each.partition("=")
        if name == "TEMPLATES":
            if text == "restrict" and not section.template:
                return False
            continue
        try:
            fits = any(re.search(name, value.name) and re.search(text, value.text) for value in section.values)
        except re.error:
            return False
        if not fits:
            return False
    return True
