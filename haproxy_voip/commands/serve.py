"""The proxy as a process. A module of its own, because importing all of it takes longer than `status` shall."""

from __future__ import annotations

import gc
import resource
import sys
import time
from collections.abc import Mapping, Sequence

import uvloop

from haproxy_voip.commands import CANNOT_RUN, REFUSED, Failure
from haproxy_voip.configuration import users
from haproxy_voip.configuration.errors import ConfigErrors
from haproxy_voip.configuration.model import Config
from haproxy_voip.core.chance import Chance
from haproxy_voip.core.credential import Credential
from haproxy_voip.edge import assemble
from haproxy_voip.edge import facts as edge_facts
from haproxy_voip.edge.around import Around, BadUsers, no_users
from haproxy_voip.edge.driver import Reader
from haproxy_voip.edge.listening import CannotListen
from haproxy_voip.edge.media_start import CannotRelay
from haproxy_voip.edge.record_file import RecordFile
from haproxy_voip.edge.tls import TlsError
from haproxy_voip.observe.call_records import CallRecords
from haproxy_voip.observe.log import LEVELS, Log
from haproxy_voip.proxy.node import Node


def serve(config: Config) -> None:
    """Run the proxy until it is told to stop. Raises Failure."""
    known = _users(config)
    _raise_file_limit()
    log = Log(sys.stderr, config.log.level, config.log.format, LEVELS | edge_facts.LEVELS)
    records = _records(config, log)
    try:
        uvloop.run(_serve(config, known, [log, *records]))
    except (CannotListen, CannotRelay, TlsError) as error:
        raise Failure(CANNOT_RUN, str(error)) from None
    finally:
        for each in records:
            each.close()
        log.close()


def _records(config: Config, log: Log) -> list[RecordFile]:
    """The reader that writes the call records, if they are wanted."""
    if config.call_records is None:
        return []
    # A call at its limit may take two; the rest are those that ended in the last seconds.
    records = CallRecords(2 * config.limits.max_calls + 1000)
    try:
        return [RecordFile(config.call_records, records, log)]
    except OSError as error:
        raise Failure(CANNOT_RUN, f"call_records: {config.call_records}: {error.strerror or error}") from None


async def _serve(config: Config, known: users.Users, readers: Sequence[Reader]) -> None:
    now = time.monotonic()
    node = Node(config, (known.realm, known.credentials), Chance.system(), now, time.time() - now)
    # Reference counting frees everything: what a call leaves makes no cycle (tests/proxy/test_garbage.py). A full
    # collection with 8,000 calls lingering would stop us for a second: audio, probes and all.
    gc.collect()
    gc.disable()
    await assemble.run(config, node, Around(readers=readers, read_users=lambda: _read_again(config)))


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


def _raise_file_limit() -> None:
    """Each stream and each media port is a file; the soft limit is often 1,024 for the sake of select(2)."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
