"""What a leg knows of the kernel's part in its work: only this."""

from __future__ import annotations

from typing import Protocol


class Shortcut(Protocol):
    """The kernel's copy of what a leg does to its packets, see media_kernel. It may be there at any time, or not."""

    def recall(self) -> None:
        """Give it up: packets reach the leg again, and what it counted is whole. So for whoever sends to its party."""

    def end(self) -> None:
        """The leg is closed for good."""

    def look(self) -> None:
        """Let the leg's counts tell when the kernel heard its party last, if nothing else."""

    def refresh(self) -> None:
        """Let the leg's counts tell what the kernel has counted so far."""
