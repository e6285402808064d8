"""SIPp as hundreds of phones that call each other, and what became of the calls."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.interop.sipp import SCENARIOS

from .exchange import DOMAIN, password
from .processes import DIES_WITH_US
from .sipp import last_row

SHORT = 'timeout="200"'  # how long the scenario's calls stay, milliseconds
SILENT_PORT = 9  # nobody listens to these calls; the discard port stands in their SDP
ERRORS_SHOWN = 2_000  # characters
BUFFER_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Phones:
    """Where they are, and whom they belong to."""

    host: str
    port: int
    proxy: str  # address:port

    def argv(self, scenario: Path, folder: Path) -> list[str]:
        """Without what is called and how often."""
        argv = [*DIES_WITH_US, "sipp", "-sf", str(scenario), "-i", self.host, "-p", str(self.port), "-nostdin"]
        argv += ["-buff_size", str(BUFFER_BYTES), "-trace_err", "-error_file", str(folder / "errors")]
        argv += ["-trace_stat", "-stf", str(folder / "statistics.csv"), "-fd", "1"]
        argv += ["-trace_logs", "-log_file", str(folder / "logs")]
        argv += ["-key", "domain", DOMAIN, "-key", "expires", "86400"]
        return [*argv, "-key", "audio_address", self.host, "-key", "audio_port", str(SILENT_PORT)]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of calls."""

    made: int
    failed: int  # refused, unanswered, or something came that must not
    cut: int  # answered, and ended by the other side
    errors: str  # the first of them

    @property
    def lost(self) -> int:
        return self.failed + self.cut


def rows(folder: Path, lines: Sequence[Sequence[str]]) -> list[str]:
    """Fields of each call in turn."""
    path = folder / "rows.csv"
    path.write_text("SEQUENTIAL\n" + "".join(";".join(line) + "\n" for line in lines))
    return ["-inf", str(path)]


def register(phones: Phones, folder: Path, users: Sequence[str], rate: float) -> list[str]:
    """A command that registers them all where the phones are."""
    lines = [(user, authentication(user), f"sip:{user}@{phones.host}:{phones.port}") for user in users]
    argv = phones.argv(SCENARIOS / "register_many.xml", folder) + rows(folder, lines)
    return [*argv, "-m", str(len(lines)), "-r", str(rate), "-timeout", f"{60 + len(lines) / rate:.0f}s", phones.proxy]


def answer(phones: Phones, folder: Path) -> list[str]:
    """A command that rings for 0.3 s and answers."""
    return phones.argv(SCENARIOS / "answer_load.xml", folder)


@dataclass(frozen=True, slots=True)
class Calling:
    """So many calls."""

    pairs: Sequence[tuple[str, str]]  # who calls whom, in turn
    calls: int
    rate: float  # in a second
    hold_seconds: float


def call(phones: Phones, folder: Path, calling: Calling) -> list[str]:
    """A command that calls."""
    text = (SCENARIOS / "call_load.xml").read_text()
    assert SHORT in text
    scenario = folder / "call.xml"
    scenario.write_text(text.replace(SHORT, f'timeout="{calling.hold_seconds * 1000:.0f}"'))
    lines = [(caller, authentication(caller), callee) for caller, callee in calling.pairs]
    argv = phones.argv(scenario, folder) + rows(folder, lines)
    return [*argv, "-m", str(calling.calls), "-l", str(calling.calls), "-r", str(calling.rate), phones.proxy]


def authentication(user: str) -> str:
    """A field that becomes the Authorization header."""
    return f"[authentication username={user} password={password(user)}]"


def outcome(folder: Path) -> Outcome:
    """Of calls that have ended. Raises SystemExit when SIPp wrote nothing."""
    final = last_row(folder / "statistics.csv")
    if "SuccessfulCall(C)" not in final:
        raise SystemExit(f"SIPp did nothing: {folder}")
    made, well = int(final["TotalCallCreated"]), int(final["SuccessfulCall(C)"])
    log, errors = folder / "logs", folder / "errors"
    cut = log.read_text(errors="replace").count("cut") if log.exists() else 0
    said = complaints(errors.read_text(errors="replace"))[:ERRORS_SHOWN] if errors.exists() else ""
    return Outcome(made, made - well, cut, said)


def complaints(text: str) -> str:
    """SIPp's errors without its word that a call has stayed as long as it should, which it takes for one."""
    entries = re.split(r"(?=\d{4}-\d\d-\d\d\t\d\d:)", text)
    return "".join(entry for entry in entries[1:] if "receive timeout on message" not in entry)
