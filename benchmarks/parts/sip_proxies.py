"""What stands between a caller and a server: this proxy, and Kamailio with more and more to do."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from .kamailio import Set, kamailio
from .kamailio import missing as missing_for
from .proxy import RECORDS, TRUNK, proxy

Processes = Mapping[str, Sequence[int]]  # by program


@dataclass(frozen=True, slots=True)
class SipProxy:
    """One that takes part."""

    name: str
    start: Callable[[Path], AbstractContextManager[Processes]]
    linger_seconds: float  # after a call's end, until nothing of it is kept
    missing: Callable[[], list[str]]  # packages of Debian


def ours(more: str) -> Callable[[Path], AbstractContextManager[Processes]]:
    """This proxy, with more configuration."""

    @contextmanager
    def start(folder: Path) -> Iterator[Processes]:
        with proxy(folder, more) as node:
            yield {"proxy": [node.process]}

    return start


def theirs(of: Set) -> Callable[[Path], AbstractContextManager[Processes]]:
    """Kamailio."""
    return lambda folder: kamailio(folder, of)


def _sipp() -> list[str]:
    return [] if shutil.which("sipp") else ["sip-tester"]


OURS_LINGER = 34.0  # Timer H and its kin: 32 s (RFC 3261 section 17), and some
THEIRS_LINGER = 8.0  # tm's wt_timer is 5 s
BARE, DIALOGS, HIDING = Set(), Set(dialogs=True), Set(dialogs=True, hiding=True)
REFERENCE = "kamailio bare"

SIP_PROXIES = (
    SipProxy(REFERENCE, theirs(BARE), THEIRS_LINGER, lambda: missing_for(BARE)),
    SipProxy("kamailio dialogs", theirs(DIALOGS), THEIRS_LINGER, lambda: missing_for(DIALOGS)),
    SipProxy("kamailio hiding", theirs(HIDING), THEIRS_LINGER, lambda: missing_for(HIDING)),
    SipProxy("proxy trunk", ours(RECORDS + TRUNK), OURS_LINGER, _sipp),
    SipProxy("proxy phones", ours(RECORDS), OURS_LINGER, _sipp),
)
