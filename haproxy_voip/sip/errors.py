"""A peer's mistake, and the status codes it is answered with (RFC 3261 section 21).

A MessageError is expected: it is counted and answered, never a stack trace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from haproxy_voip.sip.message import Header, Request

REASON_PHRASES: dict[int, str] = {
    100: "Trying",
    180: "Ringing",
    181: "Call Is Being Forwarded",
    182: "Queued",
    183: "Session Progress",
    199: "Early Dialog Terminated",
    200: "OK",
    202: "Accepted",
    204: "No Notification",
    300: "Multiple Choices",
    301: "Moved Permanently",
    302: "Moved Temporarily",
    305: "Use Proxy",
    380: "Alternative Service",
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    410: "Gone",
    412: "Conditional Request Failed",
    413: "Request Entity Too Large",
    414: "Request-URI Too Long",
    415: "Unsupported Media Type",
    416: "Unsupported URI Scheme",
    417: "Unknown Resource-Priority",
    420: "Bad Extension",
    421: "Extension Required",
    422: "Session Interval Too Small",
    423: "Interval Too Brief",
    424: "Bad Location Information",
    425: "Too Early",
    428: "Use Identity Header",
    429: "Provide Referrer Identity",
    430: "Flow Failed",
    433: "Anonymity Disallowed",
    436: "Bad Identity Info",
    437: "Unsupported Credential",
    438: "Invalid Identity Header",
    439: "First Hop Lacks Outbound Support",
    440: "Max-Breadth Exceeded",
    469: "Bad Info Package",
    470: "Consent Needed",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    483: "Too Many Hops",
    484: "Address Incomplete",
    485: "Ambiguous",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    489: "Bad Event",
    491: "Request Pending",
    493: "Undecipherable",
    494: "Security Agreement Required",
    500: "Server Internal Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Server Time-out",
    505: "Version Not Supported",
    513: "Message Too Large",
    580: "Precondition Failure",
    600: "Busy Everywhere",
    603: "Decline",
    604: "Does Not Exist Anywhere",
    606: "Not Acceptable",
    607: "Unwanted",
    608: "Rejected",
}


MAX_REASON = 300  # characters: reasons quote what came, and reach logs


class MessageError(Exception):
    """What a peer sent cannot be used; `status` is what to answer, `reason` says what is wrong."""

    def __init__(self, reason: str, status: int = 400, headers: tuple[Header, ...] = ()) -> None:
        self.reason = reason[:MAX_REASON]
        super().__init__(self.reason)
        self.status = status
        self.headers = headers  # what the answer needs besides the status: Unsupported for 420, Min-Expires for 423
        # The request to answer, as far as it could be read; None when there is nothing to answer:
        # a response, an ACK (RFC 3261 section 17: it never has a response), or no Via to answer along.
        self.partial: Request | None = None
        # On a stream: how long the body after the broken headers is; None when nobody can know where it ends.
        self.body_length: int | None = None

    @property
    def phrase(self) -> str:
        """The reason phrase of the status line."""
        return REASON_PHRASES.get(self.status, "")
