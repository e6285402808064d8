"""What is wrong with a configuration, all of it at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ConfigError:
    """One mistake."""

    file: Path
    line: int  # counted from 1
    key: str  # the path to it, `proxy.sip.listen[1]`; empty for the file as a whole
    problem: str
    remedy: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: "
        if self.key:
            place += f"{self.key}: "
        return f"{place}{self.problem}; {self.remedy}"


class ConfigErrors(Exception):
    """Every mistake found, in the order of the files' lines."""

    def __init__(self, errors: list[ConfigError]) -> None:
        super().__init__("\n".join(str(error) for error in errors))
        self.errors = errors
