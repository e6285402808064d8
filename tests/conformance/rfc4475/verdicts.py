"""What becomes of each of the 49 messages of RFC 4475: in the parser, and in a running node.

The verdict depends on the role. The parser stands for the structure and for what RFC 3261 demands of any request.
`node_status` is for a node that owns example.com, authenticates its clients itself (REGISTER 401, all else 407)
and gets the message as a datagram from a client it does not know: the final status it answers, or None when it
must not answer at all. Where RFC 4475 leaves a choice, `reason` says which was taken.

The order behind `node_status` is RFC 3261 section 16.3: syntax, URI scheme, Max-Forwards, Proxy-Require, dialog,
credentials.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Verdict:
    """One message of RFC 4475."""

    name: str  # the file, without .dat
    section: str  # of RFC 4475
    title: str
    parse_status: int | None  # the MessageError's status; None when the parser and `validate` accept
    node_status: int | None  # the final status the node answers; None when it stays silent
    reason: str

    @property
    def data(self) -> bytes:
        """The message as it goes into one datagram."""
        return (FOLDER / f"{self.name}.dat").read_bytes()


VERDICTS = (
    # 3.1.1 Parser tests: valid messages
    Verdict(
        "wsinv", "3.1.1.1", "A Short Tortuous INVITE", None, 481,
        "folding, compact and unknown headers, escapes and odd case are all legal; its To tag names no dialog of ours",
    ),
    Verdict(
        "intmeth", "3.1.1.2", "Wide Range of Valid Characters", None, 407,
        "every character is legal where it stands, an escaped NUL included; unknown methods are passed on",
    ),
    Verdict("esc01", "3.1.1.3", "Valid Use of the % Escaping Mechanism", None, 407, "escapes stay as written"),
    Verdict("escnull", "3.1.1.4", "Escaped Nulls in URIs", None, 401, "%00 is a character like another"),
    Verdict(
        "esc02", "3.1.1.5", "Use of % When It Is Not an Escape", None, 407,
        "% escapes nothing in methods and header names: RE%47IST%45R is an unknown method, C%6Fntact no Contact",
    ),
    Verdict(
        "lwsdisp", "3.1.1.6", "Message with No LWS between Display Name and <", None, 407,
        "the grammar wants the space, which RFC 4475 calls a bug of the specification",
    ),
    Verdict("longreq", "3.1.1.7", "Long Values in Header Fields", None, 407, "within every limit"),
    Verdict(
        "dblreq", "3.1.1.8", "Extra Trailing Octets in a UDP Datagram", None, 401,
        "what follows the body is dropped (RFC 3261 section 18.3): the REGISTER is answered, the INVITE is not seen",
    ),
    Verdict(
        "semiuri", "3.1.1.9", "Semicolon-Separated Parameters in URI User Part", None, 407,
        "the user is 'user;par=u%40example.net'",
    ),
    Verdict("transports", "3.1.1.10", "Varied and Unknown Transport Types", None, 407, "a Via's transport is a token"),
    Verdict("mpart01", "3.1.1.11", "Multipart MIME Message", None, 407, "a body is bytes"),
    Verdict("unreason", "3.1.1.12", "Unusual Reason Phrase", None, None, "a response to nothing we sent"),
    Verdict("noreason", "3.1.1.13", "Empty Reason Phrase", None, None, "a response to nothing we sent"),
    # 3.1.2 Parser tests: invalid messages
    Verdict(
        "badinv01", "3.1.2.1", "Extraneous Header Field Separators", 400, 400,
        "';;,;,,' after the sent-by is no list of parameters",
    ),
    Verdict(
        "clerr", "3.1.2.2", "Content Length Larger Than Message", 400, 400,
        "fewer bytes came than it says (RFC 3261 section 18.3)",
    ),
    Verdict("ncl", "3.1.2.3", "Negative Content-Length", 400, 400, "Content-Length = 1*DIGIT"),
    Verdict(
        "scalar02", "3.1.2.4", "Request Scalar Fields with Overlarge Values", 400, 400,
        "a CSeq number is below 2**31 (RFC 3261 section 8.1.1.5)",
    ),
    Verdict(
        "scalarlg", "3.1.2.5", "Response Scalar Fields with Overlarge Values", 400, None,
        "discarded: its CSeq number is out of range, and nobody answers a response",
    ),
    Verdict("quotbal", "3.1.2.6", "Unterminated Quoted String in Display Name", 400, 400, "the quote never ends"),
    Verdict("ltgtruri", "3.1.2.7", "<> Enclosing Request-URI", 400, 400, "it may be repaired, we refuse it"),
    Verdict(
        "lwsruri", "3.1.2.8", "Malformed SIP Request-URI (embedded LWS)", 400, 400, "it may be repaired, we refuse it"
    ),
    Verdict("lwsstart", "3.1.2.9", "Multiple SP Separating Request-Line Elements", 400, 400, "one SP separates"),
    Verdict("trws", "3.1.2.10", "SP Characters at End of Request-Line", 400, 400, "CRLF follows the version"),
    Verdict(
        "escruri", "3.1.2.11", "Escaped Headers in SIP Request-URI", 400, 400,
        "no headers in a Request-URI (RFC 3261 section 19.1.1, table 1)",
    ),
    Verdict(
        "baddate", "3.1.2.12", "Invalid Time Zone in Date Header Field", None, 407,
        "an element should refuse it only if it needs the Date; we do not",
    ),
    Verdict(
        "regbadct", "3.1.2.13", "Failure to Enclose name-addr URI in <>", 400, 400,
        "a URI with '?' needs <> (RFC 3261 section 20.10); guessing could put a Route into somebody's requests",
    ),
    Verdict("badaspec", "3.1.2.14", "Spaces within addr-spec", 400, 400, "no space inside <>"),
    Verdict(
        "baddn", "3.1.2.15", "Non-token Characters in Display Name", 400, 400,
        "a comma in an unquoted name; this copy also lacks the empty line after the headers",
    ),
    Verdict("badvers", "3.1.2.16", "Unknown Protocol Version", 505, 505, "SIP/7.0"),
    Verdict("mismatch01", "3.1.2.17", "Start Line and CSeq Method Mismatch", 400, 400, "OPTIONS, and CSeq for INVITE"),
    Verdict(
        "mismatch02", "3.1.2.18", "Unknown Method with CSeq Method Mismatch", 400, 400,
        "501 or 400; we pass unknown methods on, so it is 400",
    ),
    Verdict("bigcode", "3.1.2.19", "Overlarge Response Code", 400, None, "dropped: nobody answers a response"),
    # 3.2 Transaction layer semantics
    Verdict(
        "badbranch", "3.2.1", "Missing Transaction Identifier", None, 407,
        "a bare magic cookie: 400, or matched as RFC 2543 did; we do the latter",
    ),
    # 3.3 Application-layer semantics
    Verdict("insuf", "3.3.1", "Missing Required Header Fields", 400, 400, "no Call-ID, From or To"),
    Verdict("unkscm", "3.3.2", "Request-URI with Unknown Scheme", 416, 416, "RFC 3261 section 16.3 item 2"),
    Verdict("novelsc", "3.3.3", "Request-URI with Known but Atypical Scheme", 416, 416, "soap.beep is none of ours"),
    Verdict(
        "unksm2", "3.3.4", "Unknown URI Schemes in Header Fields", 400, 400,
        "a proxy would pass it on; for a registrar To has to be a SIP or SIPS URI (RFC 3261 section 10.2)",
    ),
    Verdict(
        "bext01", "3.3.5", "Proxy-Require and Require", None, 420,
        "Proxy-Require names what we do not support (RFC 3261 section 16.3 item 5)",
    ),
    Verdict("invut", "3.3.6", "Unknown Content-Type", None, 407, "415 is the called party's to answer"),
    Verdict(
        "regaut01", "3.3.7", "Unknown Authorization Scheme", None, 401,
        "credentials of an unknown scheme are none",
    ),
    Verdict(
        "multi01", "3.3.8", "Multiple Values in Single Value Required Fields", 400, 400,
        "CSeq, Call-ID, To, From, Max-Forwards come twice",
    ),
    Verdict("mcl01", "3.3.9", "Multiple Content-Length Values", 400, 400, "nobody can say where it ends"),
    Verdict(
        "bcast", "3.3.10", "200 OK Response with Broadcast Via Header Field Value", None, None,
        "the topmost Via is not ours: dropped, never sent on",
    ),
    Verdict("zeromf", "3.3.11", "Max-Forwards of Zero", None, 483, "it asks example.com's user, so it would go on"),
    Verdict(
        "cparam01", "3.3.12", "REGISTER with a Contact Header Parameter", None, 401,
        "without <> the parameter belongs to the header",
    ),
    Verdict(
        "cparam02", "3.3.13", "REGISTER with a url-parameter", None, 401,
        "within <> the parameter belongs to the URI",
    ),
    Verdict("regescrt", "3.3.14", "REGISTER with a URL Escaped Header", None, 401, "legal within <> in a Contact"),
    Verdict("sdp01", "3.3.15", "Unacceptable Accept Offering", None, 407, "406 is the called party's to answer"),
    # 3.4 Backward compatibility
    Verdict(
        "inv2543", "3.4.1", "INVITE with RFC 2543 Syntax", None, 407,
        "no Max-Forwards, no branch, no From tag, no Content-Length: all legal then, all accepted",
    ),
)  # fmt: skip
