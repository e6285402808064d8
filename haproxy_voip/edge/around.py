"""What the edge runs, and what whoever starts it must give."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

from haproxy_voip.configuration.model import Config
from haproxy_voip.core.credential import Credential
from haproxy_voip.edge.driver import Reader
from haproxy_voip.edge.names import Names
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


class BadConfiguration(Exception):
    """It cannot be taken over; the text says why, with file and line where it is a file's fault."""


Known = tuple[str, Mapping[str, Credential]]  # the realm and who is in it


@dataclass(frozen=True, slots=True)
class Loaded:
    """The configuration's file and the users' file, read again and found good."""

    config: Config
    users: Known


# Reads the users file again, blocking: the realm and who is in it. Raises BadUsers.
ReadUsers = Callable[[], Known]


def no_configuration() -> Loaded:
    """For a node that was not made of a file. Raises BadConfiguration."""
    raise BadConfiguration("the proxy was not started with a configuration file, so there is none to read again")


def no_users() -> Known:
    """For a node without a users file. Raises BadUsers."""
    raise BadUsers("the configuration names no users file")


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What whoever starts the proxy gives it besides its configuration."""

    readers: Iterable[Reader] = ()  # of facts
    read_users: ReadUsers = no_users
    users: Known = ("", MappingProxyType({}))  # those the node was made with
    load: Callable[[], Loaded] = no_configuration  # blocking; raises BadConfiguration
    # Blocking: gets ready to read facts as this says, or raises BadConfiguration. What it returns does so, and returns
    # the readers from now on; None: as before.
    prepare: Callable[[Config], Callable[[], Iterable[Reader]]] | None = None
    ready: Callable[[], None] = lambda: None  # called once everything listens
    names: Names | None = None  # of backends; None: there are none
    wanted: Config | None = None  # as `load` gives it, with these names; None: as it is in force
