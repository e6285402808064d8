"""Another configuration put in force while everything runs.

Whatever can fail comes first: reading, checking, certificates, binding, opening the call records. Then nothing can
refuse any more, and all of it is in force within one turn of the loop. So a bad file changes nothing.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

from haproxy_voip.configuration.changes import Change, Departing, Plan, plan
from haproxy_voip.configuration.model import Config
from haproxy_voip.edge.around import Around, BadConfiguration, Known, Loaded
from haproxy_voip.edge.driver import Driver
from haproxy_voip.edge.facts import NotReloaded, Reloaded
from haproxy_voip.edge.listening import CannotListen
from haproxy_voip.edge.tls import TlsError
from haproxy_voip.proxy.events import NodeEvent

# When a name has expired, it has for sure.
LATER = 0.01


class Standing(Protocol):
    """What runs (edge/assemble.py)."""

    config: Config

    @property
    def departing(self) -> Departing:
        """The backends that were removed and are not gone."""

    async def prepare(self, config: Config) -> Prepared:
        """Read its certificates and listen where it says. Raises TlsError or CannotListen."""


class Prepared(Protocol):
    """A configuration that can be put in force."""

    @property
    def anew(self) -> tuple[Path, ...]:
        """Files of certificates that hold something else than before."""

    async def abandon(self) -> None:
        """It is not to be: close what was opened for it."""

    async def enforce(self, config: Config, users: Known | None) -> None:
        """It is. `users` are None where they are as before."""


class Reloader:
    """One reload after the other, whoever asks."""

    def __init__(self, standing: Standing, around: Around, driver: Driver[NodeEvent, Any]) -> None:
        self._standing = standing
        self._around = around
        self._driver = driver
        self._turn = asyncio.Lock()
        self._last = Loaded(around.wanted or standing.config, around.users)  # as it was read last
        self._waits = False  # something of it, for a backend to be gone
        self._users = around.users
        self._names = around.names
        self._resolved = standing.config  # the same with addresses, when it was put in force
        self._alarm: asyncio.TimerHandle | None = None
        self._looking: asyncio.Task[None] | None = None

    @property
    def missing(self) -> tuple[tuple[str, str, str], ...]:
        """Backends whose address is not known: name, as configured, reason."""
        return () if self._names is None else self._names.missing

    def start(self) -> None:
        """Look names up again from now on."""
        self._set_alarm()

    async def stop(self) -> None:
        """Look nothing up any more."""
        self._names = None
        if self._alarm is not None:
            self._alarm.cancel()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def reload(self) -> Plan:
        """Load and put in force what can be. Raises BadConfiguration; then everything is as before."""
        async with self._turn:
            try:
                loaded = await asyncio.to_thread(self._around.load)
                return await self._put_in_force(loaded)
            except BadConfiguration as error:
                self._driver.tell(NotReloaded(str(error)))
                raise

    async def backend_gone(self) -> None:
        """Its name, or its address, is free: somebody may have waited for that."""
        async with self._turn:
            if self._waits:
                await self._put_in_force_again()

    def users_are(self, users: Known) -> None:
        """They were read alone."""
        self._users, self._last = users, Loaded(self._last.config, users)

    async def _put_in_force_again(self) -> None:
        try:
            await self._put_in_force(self._last)
        except BadConfiguration as error:
            self._driver.tell(NotReloaded(str(error)))

    def _set_alarm(self) -> None:
        """For the first name that expires."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        at = None if self._names is None else self._names.next_at
        if at is not None:
            self._alarm = asyncio.get_running_loop().call_later(max(at - monotonic(), 0.0) + LATER, self._begin_to_look)

    def _begin_to_look(self) -> None:
        self._looking = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        """A name may mean something else by now. Then it is as if that had been configured."""
        try:
            async with self._turn:
                if self._names is not None and await self._names.resolve(self._last.config) != self._resolved:
                    await self._put_in_force_again()
        finally:
            self._set_alarm()

    async def _put_in_force(self, loaded: Loaded) -> Plan:
        standing, config = self._standing, loaded.config
        if self._names is not None:
            config = await self._names.resolve(config)
        # A name that means another server says that the former one is not there any more, or will not be.
        planned = plan(standing.config, config, standing.departing, last_may_go=config is not loaded.config)
        # Comparing fifty thousand takes a while.
        users = await asyncio.to_thread(_compared, self._users, loaded.users)
        try:
            prepared = await standing.prepare(planned.config)
        except (TlsError, CannotListen) as error:
            raise BadConfiguration(str(error)) from None
        prepare = self._around.prepare
        try:
            readers = None if prepare is None else await asyncio.to_thread(prepare, planned.config)
        except BadConfiguration:
            await prepared.abandon()
            raise
        changed = [Change("certificates", f"{file} read again") for file in prepared.anew]
        changed += [] if users is None else [users]
        if readers is not None:
            self._driver.readers = list(readers())
        await prepared.enforce(planned.config, None if users is None else loaded.users)
        self._users = loaded.users
        self._last, self._resolved, self._waits = loaded, config, planned.waits
        self._set_alarm()
        planned = Plan(planned.config, (*planned.changes, *changed), planned.waits)
        self._driver.tell(Reloaded(tuple(map(str, planned.changes))))
        return planned


def _compared(old: Known, new: Known) -> Change | None:
    """What changed of the users; None: nothing."""
    (old_realm, before), (new_realm, after) = old, new
    added, removed = len(after.keys() - before.keys()), len(before.keys() - after.keys())
    others = sum(before[name] != after[name] for name in before.keys() & after.keys())
    if not added and not removed and not others and old_realm == new_realm:
        return None
    return Change("users", f"{added} added, {removed} removed, {others} with another secret")
