"""Where a session is on its way (residence.py)."""

from __future__ import annotations

from enum import StrEnum


class Phase(StrEnum):
    """Of a residence."""

    NOWHERE = "nowhere"  # not logged in, because nothing needs it yet
    LOGGING_IN = "logging in"
    UNBOUND = "unbound"  # logged in, and the client has not asked for a resource
    BINDING = "binding"
    SETTLED = "settled"
    INTERRUPTED = "interrupted"
    MOVING = "moving"  # waiting for a login elsewhere, or at the same backend again
    ARRIVING = "arriving"  # there, and the server has not said yet that it knows everything
    HANDOVER = "handing over"
    STRANDED = "stranded"
    GONE = "gone"


# In these a recipient's session will soon be reachable again: what is for it waits.
UNDER_WAY = frozenset({Phase.INTERRUPTED, Phase.MOVING, Phase.ARRIVING})
