"""What the edge runs, and what whoever starts it must give."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from haproxy_voip.core.credential import Credential
from haproxy_voip.edge.driver import Reader
from haproxy_voip.proxy.events import NodeEvent


class ProxyNode(Protocol):
    """What is run: a machine that also takes new users."""

    def receive(self, event: NodeEvent, now: float) -> list[Any]:
        """Take one event."""

    def wake(self, now: float) -> list[Any]:
        """Act on what is due."""

    @property
    def deadline(self) -> float | None:
        """When `wake` is next due."""

    def replace_users(self, realm: str, credentials: Mapping[str, Credential]) -> None:
        """Know these users from now on."""


class BadUsers(Exception):
    """The users file is wrong or cannot be read; the text says all of it."""


# Reads the users file again, blocking: the realm and who is in it. Raises BadUsers.
ReadUsers = Callable[[], tuple[str, Mapping[str, Credential]]]


def no_users() -> tuple[str, Mapping[str, Credential]]:
    """For a node without a users file."""
    raise BadUsers("the configuration names no users file")


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What whoever starts the proxy gives it besides its configuration."""

    readers: Iterable[Reader] = ()  # of facts
    read_users: ReadUsers = no_users
    ready: Callable[[], None] = lambda: None  # called once everything listens
