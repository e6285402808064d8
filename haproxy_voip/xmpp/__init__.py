"""XMPP as a server to clients and as a client to servers, without I/O (RFC 6120, 6121, 7622, XEP-0198)."""
