"""The proxy as a process. A module of its own, because importing all of it takes longer than `status` shall."""

from __future__ import annotations

import gc
import resource
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import uvloop

from haproxy_voip.commands import CANNOT_RUN, REFUSED, Failure
from haproxy_voip.configuration import users
from haproxy_voip.configuration.errors import ConfigErrors
from haproxy_voip.configuration.load import load
from haproxy_voip.configuration.model import Config
from haproxy_voip.core.chance import Chance
from haproxy_voip.core.credential import Credential
from haproxy_voip.edge import assemble
from haproxy_voip.edge import facts as edge_facts
from haproxy_voip.edge.around import Around, BadConfiguration, BadUsers, Loaded, no_users
from haproxy_voip.edge.driver import Reader
from haproxy_voip.edge.listening import CannotListen
from haproxy_voip.edge.media_start import CannotRelay
from haproxy_voip.edge.names import Names
from haproxy_voip.edge.record_file import RecordFile
from haproxy_voip.edge.resolver import Resolver
from haproxy_voip.edge.tls import TlsError
from haproxy_voip.observe.call_records import CallRecords
from haproxy_voip.observe.log import LEVELS, Log
from haproxy_voip.proxy.node import Node


def serve(config: Config, file: Path) -> None:
    """Run the proxy until it is told to stop; `file` is what `reload` reads. Raises Failure."""
    known = _users(config)
    _raise_file_limit()
    log = Log(sys.stderr, config.log.level, config.log.format, LEVELS | edge_facts.LEVELS)
    outlets = None
    try:
        outlets = Outlets(config, log)
        uvloop.run(_serve(config, known, outlets, file))
    except BadConfiguration as error:
        raise Failure(CANNOT_RUN, str(error)) from None
    except (CannotListen, CannotRelay, TlsError) as error:
        raise Failure(CANNOT_RUN, str(error)) from None
    finally:
        if outlets is not None:
            outlets.close()
        log.close()


class Outlets:
    """What reads facts as the configuration in force says: the log, and the call records where they are wanted."""

    def __init__(self, config: Config, log: Log) -> None:
        """Raises BadConfiguration when the call records cannot be written."""
        self.config = config
        self._log = log
        self._records: RecordFile | None = None
        self.prepare(config)()

    def prepare(self, config: Config) -> Callable[[], list[Reader]]:
        """Try what may fail. What is returned puts it in force; it returns the readers. Raises BadConfiguration."""
        path, records = config.call_records, self._records
        if path is not None and (records is None or records.path != path):
            try:
                if records is None:
                    # A call at its limit may take two; the rest are those that ended in the last seconds.
                    records = RecordFile(path, CallRecords(2 * config.limits.max_calls + 1000), self._log)
                else:
                    path.open("a").close()
            except OSError as error:
                raise BadConfiguration(f"call_records: {path}: {error.strerror or error}") from None

        def take() -> list[Reader]:
            self.config = config
            self._log.write_from(config.log.level)
            if path is None and self._records is not None:
                self._records.finish()
            elif path is not None and records is not None:
                records.move(path)
            self._records = None if path is None else records
            return self.readers

        return take

    @property
    def readers(self) -> list[Reader]:
        """Of facts."""
        return [self._log] if self._records is None else [self._log, self._records]

    def close(self) -> None:
        """Let the last records be written."""
        if self._records is not None:
            self._records.close()


async def _serve(config: Config, known: users.Users, outlets: Outlets, file: Path) -> None:
    names = Names(Resolver(), lambda fact: _tell(outlets, fact))
    wanted, config = config, await names.resolve(config)
    now = time.monotonic()
    node = Node(config, (known.realm, known.credentials), Chance.system(), now, time.time() - now)
    # Reference counting frees everything: what a call leaves makes no cycle (tests/proxy/test_garbage.py). A full
    # collection with 8,000 calls lingering would stop us for a second: audio, probes and all.
    gc.collect()
    gc.disable()
    around = Around(
        readers=outlets.readers,
        read_users=lambda: _read_again(outlets.config),
        users=(known.realm, known.credentials),
        load=lambda: _load_again(file),
        prepare=outlets.prepare,
        names=names,
        wanted=wanted,
    )
    await assemble.run(config, node, around)


def _tell(outlets: Outlets, fact: object) -> None:
    for reader in outlets.readers:
        reader(fact)


def _users(config: Config) -> users.Users:
    try:
        return users.everybody(config)
    except ConfigErrors as errors:
        raise Failure(REFUSED, str(errors)) from None


def _read_again(config: Config) -> tuple[str, Mapping[str, Credential]]:
    domains = config.proxy.xmpp.domains if config.proxy.xmpp is not None else ()
    if config.users is None and not any(domain.users for domain in domains):
        return no_users()
    try:
        known = users.everybody(config)
    except ConfigErrors as errors:
        raise BadUsers(str(errors)) from None
    return known.realm, known.credentials


def _load_again(file: Path) -> Loaded:
    try:
        config = load(file)
        known = users.Users(realm=config.proxy.domain) if config.users is None else users.load(config.users)
    except ConfigErrors as errors:
        raise BadConfiguration(str(errors)) from None
    return Loaded(config, (known.realm, known.credentials))


def _raise_file_limit() -> None:
    """Each stream and each media port is a file; the soft limit is often 1,024 for the sake of select(2)."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
