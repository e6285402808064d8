"""SIP messages (RFC 3261 section 7): from bytes and to bytes.

1. `parse` checks the structure only. Values are parsed when they are used (fields.py); what RFC 3261 demands of
   any request is checked by `validate` (validation.py).
2. Only CRLF ends a line. A bare CR or LF is refused, and a NUL outside a quoted-pair: whoever reads the message next
   may see other lines in it than we do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from haproxy_voip.sip.errors import REASON_PHRASES, MessageError
from haproxy_voip.sip.fields import CONTENT_LENGTH_MAX
from haproxy_voip.sip.fields import Header as Header
from haproxy_voip.sip.fields import Message as Message
from haproxy_voip.sip.fields import header as header
from haproxy_voip.sip.grammar import is_token, parse_number
from haproxy_voip.sip.names import LONG_NAMES, long_name
from haproxy_voip.sip.uri import Uri

MAX_HEAD_BYTES = 65_535  # what one datagram could carry
MAX_HEADERS = 256  # lines; RFC 4475's longest message has 40

_FOLD = re.compile(rb"\r\n[ \t]++")
_BARE_NUL = re.compile(r"(?<!\\)\0")  # quoted-pair = "\" (%x00-09 / ...): RFC 4475 section 3.1.1.2 has one
_VERSION = re.compile(r"SIP/[0-9]+\.[0-9]+", re.IGNORECASE)
_STATUS_LINE = re.compile(r"SIP/2\.0 ([0-9]{3})(?: (.*))?", re.IGNORECASE)

_METHODS = {"ACK", "BYE", "CANCEL", "INFO", "INVITE", "NOTIFY", "OPTIONS", "PRACK", "REGISTER", "SUBSCRIBE"}


class Request(Message):
    """A request; `uri` is the Request-URI as written."""

    __slots__ = ("method", "uri")

    def __init__(self, method: str, uri: str, headers: list[Header] | None = None, body: bytes = b"") -> None:
        self.method = method
        self.uri = uri
        self.headers = [] if headers is None else headers
        self.body = body
        self._first = None
        self._typed = {}
        self._lists = {}

    @property
    def start_line(self) -> str:
        """The Request-Line."""
        return f"{self.method} {self.uri} SIP/2.0"

    @property
    def request_uri(self) -> Uri:
        """The Request-URI, parsed. Raises MessageError."""
        return Uri.parse(self.uri)

    def copy(self) -> Request:
        """The same request, to be changed apart from this one."""
        return Request(self.method, self.uri, self.headers.copy(), self.body)


class Response(Message):
    """A response."""

    __slots__ = ("reason", "status")

    def __init__(
        self, status: int, reason: str | None = None, headers: list[Header] | None = None, body: bytes = b""
    ) -> None:
        self.status = status
        self.reason = REASON_PHRASES.get(status, "") if reason is None else reason
        self.headers = [] if headers is None else headers
        self.body = body
        self._first = None
        self._typed = {}
        self._lists = {}

    @property
    def start_line(self) -> str:
        """The Status-Line."""
        return f"SIP/2.0 {self.status} {self.reason}"

    def copy(self) -> Response:
        """The same response, to be changed apart from this one."""
        return Response(self.status, self.reason, self.headers.copy(), self.body)


def response_to(
    request: Request,
    status: int,
    reason: str | None = None,
    to_tag: str | None = None,
    headers: Iterable[Header] = (),
) -> Response:
    """A response with what RFC 3261 section 8.2.6 copies from the request, as far as it is there.

    `to_tag` is added when To has no tag yet; a To that cannot be read is copied as it is.
    """
    copied = []
    for line in request.headers:
        match line[0]:
            case "via" | "from" | "call-id" | "cseq":
                copied.append(line)
            case "to":
                copied.append(_tagged(request, line, to_tag))
            case "timestamp" if status == 100:
                copied.append(line)
    copied.extend(headers)
    return Response(status, reason, copied)


def _tagged(request: Request, line: Header, to_tag: str | None) -> Header:
    if to_tag is None:
        return line
    try:
        if request.to.tag is not None:
            return line
    except MessageError:
        return line
    return header("to", f"{line[1]};tag={to_tag}")


def parse(data: bytes) -> Request | Response:
    """One whole message: a datagram. Bytes after Content-Length are dropped (RFC 3261 section 18.3).

    Raises MessageError; its `partial` is the request to answer, if there is anything to answer.
    """
    if data[:1] == b"\r" or data[:1] == b"\n":
        data = data.lstrip(b"\r\n")  # 7.5 asks it of streams only; keep-alives end up before datagrams too
    head, blank, rest = data.partition(b"\r\n\r\n")
    message, length = parse_head(head if blank else head.removesuffix(b"\r\n"))
    if length is None:
        message.body = rest
    elif length <= len(rest):
        message.body = rest if length == len(rest) else rest[:length]
    else:
        raise about(message, f"Content-Length is {length}, but {len(rest)} bytes came")
    if not blank:
        raise about(message, "no empty line ends the headers")
    return message


def parse_head(head: bytes) -> tuple[Request | Response, int | None]:
    """The message so far, without a body, and its Content-Length; None when it says none.

    `head` ends before the empty line. Raises MessageError.
    """
    if len(head) > MAX_HEAD_BYTES:
        raise MessageError(f"the headers are longer than {MAX_HEAD_BYTES} bytes", 513)
    text = head.decode("utf-8", "surrogateescape")
    lines = text.split("\r\n")
    breaks = len(lines) - 1
    if breaks > MAX_HEADERS:
        raise MessageError(f"more than {MAX_HEADERS} header lines", 513)
    if text.count("\n") != breaks or text.count("\r") != breaks:
        raise MessageError("a CR or LF stands alone")  # nobody can say what the lines are, so nothing to answer
    headers: list[Header] = []
    problem = ""
    length: int | None = None
    known = LONG_NAMES.get
    for line in lines[1:]:
        raw, colon, value = line.partition(":")
        name = known(raw) or long_name(raw)
        if name is None or not colon:
            if line[:1] == " " or line[:1] == "\t":
                return parse_head(_FOLD.sub(b" ", head))  # rare, so noticed where it costs nothing
            problem = f"no header line: {line[:80]!r}"
            continue
        value = value.strip(" \t")
        headers.append((name, value, line))
        if name == "content-length":
            problem, length = _length(value, length is not None, problem)
    if "\0" in text and _BARE_NUL.search(text):
        problem = "a NUL in the headers"
    try:
        message = _start(lines[0], headers)
        if problem:
            raise about(message, problem)
    except MessageError as error:
        error.body_length = length
        raise
    return message, length


def _length(value: str, again: bool, problem: str) -> tuple[str, int | None]:
    if again:
        return "Content-Length comes twice", None
    try:
        return problem, parse_number(value, CONTENT_LENGTH_MAX, "Content-Length")
    except MessageError as error:
        return error.reason, None


def about(message: Message, problem: str, status: int = 400) -> MessageError:
    """The error to raise: it carries the request when that can be answered."""
    error = MessageError(problem, status)
    if isinstance(message, Request) and message.method != "ACK" and message.get("via"):
        error.partial = message
    return error


def _start(line: str, headers: list[Header]) -> Request | Response:
    parts = line.split(" ")
    if len(parts) == 3 and parts[2] == "SIP/2.0" and (parts[0] in _METHODS or is_token(parts[0])) and parts[1]:
        return Request(parts[0], parts[1], headers)
    if line[:4].upper() == "SIP/":
        found = _STATUS_LINE.fullmatch(line)
        if found is None or not 100 <= int(found[1]) <= 699:
            raise MessageError(f"no status line: {line[:80]!r}")
        # COMPAT: some leave out the space that 7.2 wants before an empty reason phrase.
        return Response(int(found[1]), found[2] or "", headers)
    return _unusual_request(line, headers)


def _unusual_request(line: str, headers: list[Header]) -> Request:
    """A Request-Line that is not 'Method SP Request-URI SP SIP/2.0': the error says why."""
    method, _, rest = line.partition(" ")
    uri, _, version = rest.rstrip(" \t").rpartition(" ")
    if not is_token(method) or not _VERSION.fullmatch(version):
        raise MessageError(f"neither a request line nor a status line: {line[:80]!r}")
    request = Request(method, uri.strip(" \t"), headers)
    if version.upper() != "SIP/2.0":
        raise about(request, f"version {version}", 505)
    if rest != f"{uri} {version}" or not uri or " " in uri:
        # 7.1: "No unescaped whitespace is allowed in the Request-URI", and one SP separates.
        raise about(request, f"no request line: {line[:80]!r}")
    return request  # the version in lower case: 7.1 has it case-insensitive
