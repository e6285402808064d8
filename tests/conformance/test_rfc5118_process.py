"""RFC 5118 sent to the running proxy: all 12 messages as datagrams over IPv6 to the real process, from a stranger."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from haproxy_voip.core.address import Address
from tests.conformance.rfc5118.verdicts import VERDICTS, Verdict
from tests.conformance.stranger import Stranger, stranger_beside

HOST = "::1"
TO_BACKENDS = Address("127.0.0.82", 5060)


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stranger]:
    """A socket beside a proxy that runs."""
    proxy = Address(HOST, free_port())
    with stranger_beside(tmp_path_factory.mktemp("torture"), proxy, Address(HOST, 0), TO_BACKENDS) as stranger:
        yield stranger


def free_port() -> int:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.bind((HOST, 0))
        return int(sock.getsockname()[1])


@pytest.mark.parametrize("verdict", VERDICTS, ids=lambda verdict: verdict.name)
def test_the_running_proxy_answers_each_message_over_ipv6_as_the_table_says_and_lives(
    stranger: Stranger, verdict: Verdict
) -> None:
    assert sorted(set(stranger.answers(verdict))) == [verdict.node_status]
