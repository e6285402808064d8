"""RFC 4475 sent to the running proxy: all 49 messages as datagrams to the real process, from a stranger."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from haproxy_voip.core.address import Address
from tests.conformance.rfc4475.verdicts import VERDICTS, Verdict
from tests.conformance.stranger import Stranger, stranger_beside

PROXY = Address("127.0.0.78", 5060)
STRANGER = Address("127.0.0.79", 5060)


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stranger]:
    """A socket beside a proxy that runs."""
    with stranger_beside(tmp_path_factory.mktemp("torture"), PROXY, STRANGER) as stranger:
        yield stranger


@pytest.mark.parametrize("verdict", VERDICTS, ids=lambda verdict: verdict.name)
def test_the_running_proxy_answers_each_message_as_the_table_says_and_lives(
    stranger: Stranger, verdict: Verdict
) -> None:
    wanted = [] if verdict.node_status is None else [verdict.node_status]
    assert sorted(set(stranger.answers(verdict))) == wanted
