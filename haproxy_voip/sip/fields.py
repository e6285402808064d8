"""The headers and the body of a SIP message (RFC 3261 section 7.3): what requests and responses share.

1. A header line nobody changes goes out as it came, byte for byte; only folding is undone (7.3.1 allows it), since
   folded lines are where two parsers begin to disagree. Undecodable bytes survive as surrogates.
2. Typed values are parsed on first use and kept. Change headers through the methods, which drop what is kept.
"""

from __future__ import annotations

from collections.abc import Iterable

from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.grammar import parse_number, split_list
from haproxy_voip.sip.headers import (
    DELTA_SECONDS_MAX,
    MAX_FORWARDS_MAX,
    CSeq,
    NameAddr,
    Via,
)
from haproxy_voip.sip.names import canonical

Header = tuple[str, str, str]  # (lower-case long name, value stripped and unfolded, the line on the wire without CRLF)

CONTENT_LENGTH_MAX = 2**31 - 1  # more is nonsense; what we take is limited where it arrives


def header(name: str, value: str) -> Header:
    """One header line of our own, canonically spelled.

    A value must not hold CR or LF: it would end the line early and smuggle in another.
    """
    assert "\r" not in value and "\n" not in value, f"{name} would break the line: {value!r}"
    name = name.lower()
    return name, value, f"{canonical(name)}: {value}"


class Message:
    """What requests and responses share. Names given to methods are lower-case long names."""

    __slots__ = ("_first", "_lists", "_typed", "body", "headers")

    def __init__(self, headers: list[Header] | None = None, body: bytes = b"") -> None:
        self.headers: list[Header] = [] if headers is None else headers  # read it; change it through the methods
        self.body = body
        self._first: dict[str, str] | None = None  # see `index`
        self._typed: dict[str, Via | NameAddr | CSeq] = {}
        self._lists: dict[str, list[NameAddr]] = {}

    @property
    def start_line(self) -> str:
        """The first line on the wire."""
        raise NotImplementedError

    # --- reading -----------------------------------------------------------------------------------------------

    def get(self, name: str) -> str | None:
        """The value of the first such line, or None."""
        if self._first is not None:
            return self._first.get(name)
        for key, value, _ in self.headers:
            if key == name:
                return value
        return None

    def index(self) -> dict[str, str]:
        """The first value of each header. Made for messages that are read often and changed little: `get` uses it."""
        if self._first is None:
            self._first = {name: value for name, value, _ in reversed(self.headers)}
        return self._first

    def all(self, name: str) -> list[str]:
        """The value of each such line."""
        return [value for key, value, _ in self.headers if key == name]

    def has(self, name: str) -> bool:
        """Whether there is such a line."""
        return self.get(name) is not None

    def values(self, name: str) -> list[str]:
        """All elements of a comma-separated header, over all its lines; empty ones are skipped."""
        return [element for value in self.all(name) for element in split_list(value) if element]

    def option_tags(self, name: str) -> tuple[str, ...]:
        """The tokens of Require, Supported, Allow and their like, lower-case, in order."""
        return tuple([value.lower() for value in self.values(name)])

    # --- changing ----------------------------------------------------------------------------------------------

    def set(self, name: str, value: str) -> None:
        """Replace all such lines by one, where the first stood; else add it."""
        new = header(name, value)
        headers = self.headers
        for index, line in enumerate(headers):
            if line[0] == name:
                headers[index] = new
                headers[index + 1 :] = [later for later in headers[index + 1 :] if later[0] != name]
                break
        else:
            headers.append(new)
        self._forget(name)

    def add(self, name: str, value: str) -> None:
        """Add a line after all others."""
        self.headers.append(header(name, value))
        self._forget(name)

    def extend(self, lines: Iterable[Header]) -> None:
        """Add ready lines after all others."""
        for line in lines:
            self.headers.append(line)
            self._forget(line[0])

    def prepend(self, name: str, value: str) -> None:
        """Add a line before the others of its name, or before all when it is the first."""
        index = next((i for i, line in enumerate(self.headers) if line[0] == name), 0)
        self.headers.insert(index, header(name, value))
        self._forget(name)

    def remove(self, name: str) -> None:
        """Remove all such lines."""
        self.headers = [line for line in self.headers if line[0] != name]
        self._forget(name)

    def set_first(self, name: str, value: str) -> None:
        """Replace the first element of a comma-separated header (Via, Route); the rest stays as it came."""
        self._change_first(name, [value])

    def remove_first(self, name: str) -> None:
        """Remove the first element of a comma-separated header (Via, Route); the rest stays as it came."""
        self._change_first(name, [])

    def _change_first(self, name: str, elements: list[str]) -> None:
        headers = self.headers
        for index, line in enumerate(headers):
            if line[0] == name:
                elements = elements + split_list(line[1])[1:]
                headers[index : index + 1] = [header(name, ", ".join(elements))] if elements else []
                break
        else:
            headers.extend(header(name, element) for element in elements)
        self._forget(name)

    def _forget(self, name: str) -> None:
        self._typed.pop(name, None)
        self._lists.pop(name, None)
        if self._first is not None:
            self._first.pop(name, None)
            for key, value, _ in self.headers:
                if key == name:
                    self._first[name] = value
                    break

    # --- typed values: each raises MessageError when malformed --------------------------------------------------

    @property
    def top_via(self) -> Via:
        """The first Via: where the response goes (RFC 3261 section 18.2.2)."""
        known = self._typed.get("via")
        if isinstance(known, Via):
            return known
        value = self._mandatory("via")
        via = self._typed["via"] = Via.parse(split_list(value)[0] if "," in value else value)
        return via

    @property
    def from_(self) -> NameAddr:
        """From (20.20)."""
        return self._address("from")

    @property
    def to(self) -> NameAddr:
        """To (20.39)."""
        return self._address("to")

    @property
    def cseq(self) -> CSeq:
        """CSeq (20.16)."""
        known = self._typed.get("cseq")
        if isinstance(known, CSeq):
            return known
        cseq = CSeq.parse(self._mandatory("cseq"))
        self._typed["cseq"] = cseq
        return cseq

    @property
    def call_id(self) -> str:
        """Call-ID (20.8)."""
        return self._mandatory("call-id")

    @property
    def contacts(self) -> list[NameAddr]:
        """Every Contact (20.10). `Contact: *` is one address whose `star` is true. Do not change the list."""
        return self.addresses("contact")

    @property
    def routes(self) -> list[NameAddr]:
        """The route still to go (20.34). Do not change the list."""
        return self.addresses("route")

    @property
    def record_routes(self) -> list[NameAddr]:
        """The route as it was recorded (20.30). Do not change the list."""
        return self.addresses("record-route")

    @property
    def max_forwards(self) -> int | None:
        """Max-Forwards, 0 to 255 (20.22); None when absent."""
        return self._number("max-forwards", MAX_FORWARDS_MAX)

    @property
    def expires(self) -> int | None:
        """Expires, seconds (20.19); None when absent."""
        return self._number("expires", DELTA_SECONDS_MAX)

    @property
    def content_length(self) -> int | None:
        """Content-Length as it came (20.14); None when absent. The body itself is `body`."""
        return self._number("content-length", CONTENT_LENGTH_MAX)

    @property
    def content_type(self) -> str | None:
        """Type and subtype, lower-case, without parameters (20.15); None when absent."""
        value = self.get("content-type")
        return None if value is None else value.partition(";")[0].replace(" ", "").lower()

    def addresses(self, name: str) -> list[NameAddr]:
        """Every address of a header like Contact, Path or P-Asserted-Identity. Do not change the list."""
        known = self._lists.get(name)
        if known is None:
            known = [NameAddr.parse(element) for value in self.all(name) for element in split_list(value)]
            self._lists[name] = known
        return known

    def _address(self, name: str) -> NameAddr:
        known = self._typed.get(name)
        if isinstance(known, NameAddr):
            return known
        address = NameAddr.parse(self._mandatory(name))
        self._typed[name] = address
        return address

    def _mandatory(self, name: str) -> str:
        value = self.get(name)
        if not value:
            raise MessageError(f"no {canonical(name)}")
        return value

    def _number(self, name: str, limit: int) -> int | None:
        value = self.get(name)
        return None if value is None else parse_number(value, limit, canonical(name))

    # --- writing -----------------------------------------------------------------------------------------------

    def encode(self) -> bytes:
        """The message on the wire. Content-Length is made right, and added when it is missing."""
        body = self.body
        length = str(len(body))
        lines = [self.start_line]
        pending = True
        for name, value, line in self.headers:
            if name != "content-length":
                lines.append(line)
            elif pending:
                pending = False
                lines.append(line if value == length else f"Content-Length: {length}")
        if pending:
            lines.append(f"Content-Length: {length}")
        lines.append("\r\n")
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + body

    def __repr__(self) -> str:
        return f"<{self.start_line}>"
