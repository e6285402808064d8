"""What any SIP-speaking node asks its edge to do with the network."""

from __future__ import annotations

from dataclasses import dataclass

from haproxy_voip.core.address import Flow


@dataclass(slots=True)
class Send:
    """Put these bytes on this flow. On a stream still connecting the edge keeps them until it is open."""

    flow: Flow
    data: bytes


@dataclass(slots=True)
class Open:
    """Connect a stream to `flow.remote`; `flow.connection` is the even number the node chose for it."""

    flow: Flow


@dataclass(slots=True)
class Close:
    """Close a stream once what was sent has left."""

    flow: Flow
