"""SASL as XMPP uses it (RFC 6120 section 6): SCRAM (RFC 5802, RFC 7677) and PLAIN (RFC 4616), both sides."""
