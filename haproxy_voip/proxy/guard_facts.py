"""What happened about who guards against strangers, for people."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class BackendUnguarded:
    """A backend that ought to authenticate the phones took a request without credentials; we refused it. Told once."""

    backend: str
    method: str

    def __str__(self) -> str:
        return (
            f"{self.backend} takes {self.method} without a password, from whoever sends it, so the proxy refuses it: "
            "with authentication: backend it must challenge, and not trust the proxy's address"
        )
