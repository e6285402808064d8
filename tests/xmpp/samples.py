"""Streams and stanzas that tests share, mostly RFC 6120's own."""

from haproxy_voip.xmpp.framing import Framed, Stanza, StreamFramer

HEADER = (
    b"<?xml version='1.0'?><stream:stream from='juliet@im.example.com' to='im.example.com' version='1.0' "
    b"xml:lang='en' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
)

# RFC 6120 section 9.1 and 9.2, RFC 6121 and XEPs in everyday use.
MESSAGE = (
    b"<message from='juliet@im.example.com/balcony' id='ju2ba41c' to='romeo@example.net' type='chat' "
    b"xml:lang='en'><body>Art thou not Romeo, and a Montague?</body></message>"
)
RECEIPT = (
    b'<message to="romeo@example.net/orchard" id="bi29sg183b4v">'
    b"<received xmlns='urn:xmpp:receipts' id='richard2-4.1.247'/></message>"
)
PRESENCE = b"<presence/>"
CAPS = (
    b"<presence xml:lang='en'><show>dnd</show><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' "
    b"node='http://code.google.com/p/exodus' ver='QgayPKawpkPSDYmwT/WM94uAlu0='/></presence>"
)
BIND = (
    b"<iq id='yhc13a95' type='set'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
    b"<resource>balcony</resource></bind></iq>"
)
ROSTER = b"<iq id='bv1bs71f' type='get'><query xmlns='jabber:iq:roster'/></iq>"
# Everything a tokenizer may trip over: '>' in both quotes, "/>" as text, CDATA, references, an empty end.
AWKWARD = (
    b"<message to='a>b' id=\"'>\" \n type='/>'><body>/&gt; a > b <![CDATA[<x></message>]]> &#x263A; \xe2\x98\xba</body"
    b" ><x xmlns:p='urn:p'><p:y p:z='>'/></x>/></message >"
)
REQUEST = b"<r xmlns='urn:xmpp:sm:3'/>"
STANZAS = (MESSAGE, RECEIPT, PRESENCE, CAPS, BIND, ROSTER, AWKWARD, REQUEST)


def opened(header: bytes = HEADER) -> StreamFramer:
    """A framer whose header has come."""
    framer = StreamFramer()
    framer.feed(header)
    return framer


def stanza(data: bytes) -> Stanza:
    """The only one in these bytes."""
    [found] = opened().feed(data)
    assert isinstance(found, Stanza)
    return found


def raws(framed: list[Framed]) -> list[bytes]:
    return [item.raw for item in framed if isinstance(item, Stanza)]
