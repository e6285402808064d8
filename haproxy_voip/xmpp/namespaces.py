"""The namespaces this package must know by name."""

from typing import Final

STREAMS: Final = "http://etherx.jabber.org/streams"  # RFC 6120 section 4.8.1
CLIENT: Final = "jabber:client"  # 4.8.2: the content namespace between clients and servers
TLS: Final = "urn:ietf:params:xml:ns:xmpp-tls"
SASL: Final = "urn:ietf:params:xml:ns:xmpp-sasl"
BIND: Final = "urn:ietf:params:xml:ns:xmpp-bind"
SESSION: Final = "urn:ietf:params:xml:ns:xmpp-session"  # RFC 3921 section 3; RFC 6121 has done without it
STREAM_ERRORS: Final = "urn:ietf:params:xml:ns:xmpp-streams"
STANZA_ERRORS: Final = "urn:ietf:params:xml:ns:xmpp-stanzas"
MANAGEMENT: Final = "urn:xmpp:sm:3"  # XEP-0198
LIMITS: Final = "urn:xmpp:stream-limits:0"  # XEP-0478
CHANNEL_BINDING: Final = "urn:xmpp:sasl-cb:0"  # XEP-0440
CARBONS: Final = "urn:xmpp:carbons:2"  # XEP-0280
DISCO_INFO: Final = "http://jabber.org/protocol/disco#info"  # XEP-0030
PEP_EVENT: Final = "http://jabber.org/protocol/pubsub#event"  # XEP-0163
CLIENT_STATE: Final = "urn:xmpp:csi:0"  # XEP-0352
ROSTER_VERSIONING: Final = "urn:xmpp:features:rosterver"  # RFC 6121 section 2.6
ORIGIN_ID: Final = "urn:xmpp:sid:0"  # XEP-0359
DELAY: Final = "urn:xmpp:delay"  # XEP-0203
XML: Final = "http://www.w3.org/XML/1998/namespace"
XMLNS: Final = "http://www.w3.org/2000/xmlns/"
