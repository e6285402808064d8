"""The demonstration's files and its reading of the proxy's log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from time import monotonic, time

import pytest

from haproxy_voip.configuration import load, users
from haproxy_voip.embedded.demo_cluster import BACKENDS, USERS, Cluster, servers
from haproxy_voip.embedded.process import read_passwords


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    cluster = Cluster()
    yield cluster
    cluster.stop()
    assert not cluster.folder.exists()


def test_the_files_are_what_proxy_and_pbx_read(cluster: Cluster) -> None:
    cluster._write_files()
    config = load.load(cluster.folder / "haproxy_voip.yaml")
    assert [backend.name for backend in config.backends] == list(BACKENDS)
    assert list(config.xmpp_endpoints) == list(BACKENDS) and config.proxy.tls is not None
    assert config.users is not None
    known = users.load(config.users)
    assert {name: each.password for name, each in known.credentials.items()} == USERS
    assert read_passwords(cluster.folder / "passwords.json") == USERS


def test_facts_are_found_by_name_field_and_time(cluster: Cluster) -> None:
    for fact, seconds in (("BackendDown", 0.0), ("BackendDown", 1.0), ("Failed", 2.0)):
        level = "error" if fact == "Failed" else "warning"
        line = {"at": time() + seconds, "fact": fact, "backend": "alpha", "text": fact, "level": level}
        cluster._read_log(json.dumps(line))
    cluster._read_log("no JSON")
    now = monotonic()
    (found,) = cluster.facts("BackendDown", now + 0.5, backend="alpha")
    assert found.at == pytest.approx(now + 1.0, abs=0.3)
    assert cluster.facts("BackendDown", now - 1, backend="beta") == []
    assert cluster.errors() == 1
    assert cluster.complaints() == ["the proxy said: BackendDown"] * 2 + ["the proxy said: Failed"]


def test_a_machine_is_two_servers_that_die_as_one(cluster: Cluster) -> None:
    cluster._write_files()
    cluster.start_backend("alpha")
    names = servers("alpha")
    before = monotonic()
    assert before <= cluster.kill("alpha") <= monotonic()
    for name in names:
        cluster._children[name].end()
    assert cluster.pids() == {}
