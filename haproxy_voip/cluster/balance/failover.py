"""All calls go to the active backend; the others stand by."""

from __future__ import annotations

from collections.abc import Sequence


class Failover:
    """The algorithm named `failover` in the configuration."""

    __slots__ = ()

    def pick(self, eligible: Sequence[str], active: str) -> str:
        """The active one."""
        return active if active in eligible else eligible[0]
