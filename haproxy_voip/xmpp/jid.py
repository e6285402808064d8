"""Addresses (RFC 7622): `local@domain/resource`, prepared so that equal addresses compare equal.

Prepared as the servers behind us do it, by stringprep (RFC 6122): for everything in use that agrees with the PRECIS
profiles of RFC 7622, which no server in Debian has. What Unicode 3.2 did not know yet is let through.
"""

from __future__ import annotations

import re
import stringprep
from functools import lru_cache
from typing import Final, NamedTuple
from unicodedata import normalize

MAX_PART_BYTES = 1023  # RFC 7622 sections 3.2 to 3.4, of each part
# Addresses last seen: a busy node talks of some thousands at once, each costing about 300 bytes here.
CACHED = 16_384
CACHED_CHARACTERS = 256  # longer ones are rare, and would let a peer fill our memory

# RFC 7622 section 3.3.1: characters that a localpart must not have, on top of the profile's.
_FORBIDDEN_IN_LOCAL: Final = frozenset("\"&'/:<>@")
_FORBIDDEN_IN_DOMAIN: Final = frozenset("\"&'/<>@")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f]")
_PROHIBITED: Final = (
    stringprep.in_table_c21_c22,  # control characters
    stringprep.in_table_c3,  # private use
    stringprep.in_table_c4,  # no characters
    stringprep.in_table_c5,  # surrogates
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,  # change of direction
    stringprep.in_table_c9,
)


class Jid(NamedTuple):
    """A prepared address. `local` and `resource` are "" when absent. Made by `parse`, not by hand."""

    local: str
    domain: str
    resource: str = ""

    @classmethod
    def parse(cls, text: str) -> Jid:
        """Read and prepare. Cached. Raises ValueError with the part that is wrong; answer jid-malformed."""
        return _cached(text) if len(text) <= CACHED_CHARACTERS else _parse(text)

    @property
    def bare(self) -> Jid:
        """Without the resource."""
        return Jid(self.local, self.domain) if self.resource else self

    @property
    def is_bare(self) -> bool:
        """Whether there is no resource."""
        return not self.resource

    def with_resource(self, resource: str) -> Jid:
        """The same account at that resource. Raises ValueError."""
        return Jid(self.local, self.domain, prepared_resource(resource))

    def __str__(self) -> str:
        """As written, not escaped for XML."""
        account = f"{self.local}@{self.domain}" if self.local else self.domain
        return f"{account}/{self.resource}" if self.resource else account


def _parse(text: str) -> Jid:
    # Section 3.2: the resourcepart begins at the first "/", the localpart ends at the first "@" before that.
    account, slash, resource = text.partition("/")
    local, at, domain = account.rpartition("@")
    if at and not local:
        raise ValueError(f"{text[:80]!r} has an empty localpart")
    if slash and not resource:
        raise ValueError(f"{text[:80]!r} has an empty resourcepart")
    return Jid(
        prepared_local(local) if at else "",
        prepared_domain(domain),
        prepared_resource(resource) if slash else "",
    )


_cached = lru_cache(CACHED)(_parse)


def prepared_local(text: str) -> str:
    """A localpart as it compares (section 3.3). Raises ValueError."""
    prepared = _fold(text)
    if not _FORBIDDEN_IN_LOCAL.isdisjoint(prepared) or _has_space(prepared):
        raise ValueError(f"a character that may not be in a localpart: {text[:80]!r}")
    return _checked(prepared, "localpart")


def prepared_domain(text: str) -> str:
    """A domainpart as it compares (section 3.2): a name or an IP literal. Raises ValueError."""
    prepared = _fold(text).replace("\u3002", ".")
    prepared = prepared.removesuffix(".")  # 3.2: "If the domainpart includes a final character ... label separator"
    if not _FORBIDDEN_IN_DOMAIN.isdisjoint(prepared) or _has_space(prepared):
        raise ValueError(f"a character that may not be in a domainpart: {text[:80]!r}")
    if ".." in prepared or prepared.startswith("."):
        raise ValueError(f"an empty label in the domainpart {text[:80]!r}")
    return _checked(prepared, "domainpart")


def prepared_resource(text: str) -> str:
    """A resourcepart as it compares (section 3.4): case is kept. Raises ValueError."""
    if text.isascii():
        return _checked(text, "resourcepart")
    mapped = "".join(character for character in text if not stringprep.in_table_b1(character))
    return _checked(normalize("NFKC", mapped), "resourcepart")


def _fold(text: str) -> str:
    """RFC 6122 appendix A.3: map to nothing, fold case, normalise."""
    if text.isascii():
        return text.lower()
    mapped = [stringprep.map_table_b2(character) for character in text if not stringprep.in_table_b1(character)]
    return normalize("NFKC", "".join(mapped))


def _checked(prepared: str, part: str) -> str:
    if not prepared:
        raise ValueError(f"an empty {part}")
    # len() first: no character takes less than a byte.
    if len(prepared) > MAX_PART_BYTES or len(prepared.encode("utf-8", "surrogatepass")) > MAX_PART_BYTES:
        raise ValueError(f"a {part} of more than {MAX_PART_BYTES} bytes")
    if prepared.isascii():
        wrong = _CONTROL.search(prepared) is not None
    else:
        wrong = any(table(character) for character in prepared for table in _PROHIBITED)
    if wrong:
        raise ValueError(f"a character that may not be in a {part}: {prepared[:80]!r}")
    return prepared


def _has_space(text: str) -> bool:
    return " " in text or (not text.isascii() and any(map(stringprep.in_table_c12, text)))
