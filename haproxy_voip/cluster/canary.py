"""When to make the canary: the idle TCP connection whose end tells at once that a backend's process is gone.

A backend may refuse such connections or close idle ones; then they are tried ever more rarely, and their end means
no more than "ask". So that it is not idle to those who count, something is said on it now and then.
"""

from __future__ import annotations

RETRY_SECONDS = 0.5
RETRY_MAX_SECONDS = 30.0

# A server that closes what is idle does so after 30 s or more (Asterisk's tcpauthtimeout, for one): such a
# connection was worth having, so the next one is made as soon as the first.
WORTHWHILE_SECONDS = 10.0

# COMPAT: PJSIP (seen with Asterisk 16 and 22) closes a connection that had no transaction for 32 s; empty lines do not
# count. chan_sip closes those on which nobody proved who they are after 30 s, whatever is said on them.
STIR_SECONDS = 20.0


class Canary:
    """One backend's canary: due at `due_at`, or being made, or open and due to be stirred at `stir_at`."""

    __slots__ = ("_opened_at", "_retry", "due_at", "stir_at")

    def __init__(self) -> None:
        self.due_at: float | None = None
        self.stir_at: float | None = None
        self._opened_at: float | None = None
        self._retry = RETRY_SECONDS

    def drop(self) -> None:
        """The backend is down: none is wanted."""
        self.due_at = self.stir_at = self._opened_at = None

    def being_made(self) -> None:
        """The backend came up and the owner makes the first one."""
        self.due_at = self.stir_at = self._opened_at = None
        self._retry = RETRY_SECONDS

    def opened(self, now: float) -> None:
        """It is connected."""
        self.due_at = None
        self._opened_at = now
        self.stirred(now)

    def stirred(self, now: float) -> None:
        """Something was said on it."""
        self.stir_at = now + STIR_SECONDS

    def closed(self, now: float) -> bool:
        """It ended, or could not be made; True when it had been open, so that its end is news."""
        opened_at, self._opened_at = self._opened_at, None
        self.stir_at = None
        if opened_at is not None and now - opened_at >= WORTHWHILE_SECONDS:
            self._retry = RETRY_SECONDS
        self.due_at = now + self._retry
        self._retry = min(2 * self._retry, RETRY_MAX_SECONDS)
        return opened_at is not None
