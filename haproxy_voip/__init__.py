"""A SIP-aware reverse proxy that makes a cluster of voice servers look like one server that never dies."""

__version__ = "0.1.0"
