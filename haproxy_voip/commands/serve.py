"""The proxy as a process. A module of its own, because importing all of it takes longer than `status` shall."""

from __future__ import annotations

import asyncio
import gc
import resource
import sys
import time

import uvloop

from haproxy_voip.commands import CANNOT_RUN, REFUSED, Failure
from haproxy_voip.configuration import users
from haproxy_voip.configuration.errors import ConfigErrors
from haproxy_voip.configuration.model import Config
from haproxy_voip.core.chance import Chance
from haproxy_voip.edge import assemble
from haproxy_voip.edge.listening import CannotListen
from haproxy_voip.edge.tls import TlsError
from haproxy_voip.observe.log import Log
from haproxy_voip.proxy.node import Node


def serve(config: Config) -> None:
    """Run the proxy until it is told to stop. Raises Failure."""
    known = _users(config)
    _raise_file_limit()
    log = Log(sys.stderr, config.log.level, config.log.format)
    try:
        uvloop.run(_serve(config, known, log))
    except (CannotListen, TlsError) as error:
        raise Failure(CANNOT_RUN, str(error)) from None
    finally:
        log.close()


async def _serve(config: Config, known: users.Users, log: Log) -> None:
    now = time.monotonic()
    node = Node(config, (known.realm, known.credentials), Chance.system(), now, time.time() - now)
    asyncio.get_running_loop().set_exception_handler(log.unexpected)
    # What exists now lives to the end; the collector need not walk it again and again.
    gc.collect()
    gc.freeze()
    await assemble.run(config, node, [log])


def _users(config: Config) -> users.Users:
    if config.users is None:
        return users.Users(realm=config.proxy.domain)
    try:
        return users.load(config.users)
    except ConfigErrors as errors:
        raise Failure(REFUSED, str(errors)) from None


def _raise_file_limit() -> None:
    """Each stream and each media port is a file; the soft limit is often 1,024 for the sake of select(2)."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
