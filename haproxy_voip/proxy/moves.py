"""What a failover did, counted for its record."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Moves:
    """What became of the things on a dead backend, by kind, for its record."""

    moved: dict[str, int] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)

    def move(self, kind: str, count: int = 1) -> None:
        """So many more of this kind go on elsewhere."""
        if count:
            self.moved[kind] = self.moved.get(kind, 0) + count

    def lose(self, kind: str) -> None:
        """One more of this kind ended."""
        self.lost[kind] = self.lost.get(kind, 0) + 1
