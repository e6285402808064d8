"""Configuration files of Asterisk as text, without a disk."""

from collections.abc import Mapping
from pathlib import Path

from haproxy_voip.configuration.accounts.found import Findings
from haproxy_voip.configuration.accounts.sections import CannotInclude, Included, Section, Sections

MAIN = Path("x.conf")


def read(text: str, others: Mapping[str, str] | None = None) -> Sections:
    """The file x.conf, beside others that it may include by name."""

    def include(pattern: str, missing_is_fine: bool) -> list[Included]:
        if others and pattern in others:
            return [Included(Path(pattern), others[pattern])]
        if pattern == MAIN.name:
            return [Included(MAIN, text)]
        if missing_is_fine:
            return []
        raise CannotInclude("there is no such file")

    reader = Sections(include)
    reader.read(MAIN, text)
    return reader


def sections(text: str) -> list[Section]:
    """Of a file without mistakes."""
    reader = read(text)
    assert reader.bad == []
    return reader.sections


def passwords(findings: Findings) -> dict[str, str | None]:
    """User -> password."""
    return {account.user: account.secret.password for account in findings.accounts}


def told(findings: Findings) -> list[str]:
    """What is not imported, as it is shown."""
    return [str(note) for note in [*findings.skipped, *findings.bad]]
