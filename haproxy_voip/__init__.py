"""A SIP- and XMPP-aware reverse proxy that makes a cluster of voice and chat servers look like one that never dies."""

__version__ = "0.1.0"
