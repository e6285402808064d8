"""Header field names: compact forms, the spelling we write, and what is known of each."""

from __future__ import annotations

from haproxy_voip.sip.grammar import is_token

# RFC 3261 section 20 and the registry of compact forms it began.
COMPACT: dict[str, str] = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "d": "request-disposition",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "j": "reject-contact",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "n": "identity-info",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
    "y": "identity",
}

# The usual spellings, and all that `str.title` would get wrong.
_SPELLINGS = (
    "Accept Accept-Encoding Accept-Language Alert-Info Allow Allow-Events Authentication-Info Authorization Call-ID "
    "Call-Info Contact Content-Disposition Content-Encoding Content-Language Content-Length Content-Type CSeq Date "
    "Error-Info Event Expires Flow-Timer From Identity Identity-Info In-Reply-To Info-Package Join Max-Breadth "
    "Max-Forwards MIME-Version Min-Expires Min-SE Organization P-Access-Network-Info P-Asserted-Identity "
    "P-Associated-URI P-Called-Party-ID P-Preferred-Identity Path Priority Privacy Proxy-Authenticate "
    "Proxy-Authorization Proxy-Require RAck Reason Record-Route Recv-Info Refer-To Referred-By Refer-Sub "
    "Remote-Party-ID Replaces Reply-To Require Retry-After Route RSeq Server Service-Route Session-Expires "
    "SIP-ETag SIP-If-Match Subject Subscription-State Supported Target-Dialog Timestamp To Unsupported User-Agent Via "
    "Warning WWW-Authenticate X-Asterisk-HangupCause"
)

CANONICAL: dict[str, str] = {spelling.lower(): spelling for spelling in _SPELLINGS.split()}

# Every spelling seen day by day, so that reading a name is one look-up. Never grows.
LONG_NAMES: dict[str, str] = (
    {spelling: name for name, spelling in CANONICAL.items()}
    | {name: name for name in CANONICAL}
    | {name.title(): name for name in CANONICAL}
    | COMPACT
    | {name.upper(): long for name, long in COMPACT.items()}
)

# RFC 3261 section 7.3.1 with table 2: one value, so at most one line. What is missing here may be a list,
# or is an extension we do not know.
_SINGLE = (
    "call-id content-disposition content-length content-type cseq date event expires from max-breadth max-forwards "
    "mime-version min-expires min-se organization priority rack refer-to referred-by replaces reply-to retry-after "
    "rseq session-expires sip-etag sip-if-match subject subscription-state timestamp to"
)
SINGLE = frozenset(_SINGLE.split())


def long_name(text: str) -> str | None:
    """The lower-case long form of a header name as written before the colon; None when it is no name.

    Whitespace before the colon is legal (RFC 3261 section 7.3.1), before the name it is not.
    """
    known = LONG_NAMES.get(text)
    if known is not None:
        return known
    name = text.rstrip(" \t")
    if not is_token(name):
        return None
    name = name.lower()
    return COMPACT.get(name, name)


def canonical(name: str) -> str:
    """The spelling we write for a lower-case name."""
    return CANONICAL.get(name) or name.title()
