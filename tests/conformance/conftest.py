"""Chat: one stage for all tests of a file, on which a pair of clients is well whatever others do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from haproxy_voip.xmpp.client_stream import TlsPolicy
from tests.conformance.talker import stage_with_tls, tidy_up, unharmed
from tests.proxy.chat.client import Client
from tests.proxy.chat.stage import Stage


@pytest.fixture(scope="module")
def pair() -> tuple[Stage, Client, Client]:
    """One stage for all: nobody's mistake may be anybody else's."""
    stage = stage_with_tls()
    alice = stage.client("alice", tls=TlsPolicy.REQUIRED)
    return stage, alice, stage.client("bob", tls=TlsPolicy.REQUIRED)


@pytest.fixture
def stage(pair: tuple[Stage, Client, Client]) -> Iterator[Stage]:
    stage, alice, bob = pair
    yield stage
    unharmed(alice, bob)
    tidy_up(stage)
    assert len(stage.chat.shared.sessions) == 2  # nothing of it stays
