"""Whole chat clusters under a virtual clock: plain stories, and a death at every step of a login and of a failover."""

from __future__ import annotations

import pytest

from haproxy_voip.embedded.chat_facts import ClientHeard, ClientOnline, ClientResumed, ClientTurnedAway
from haproxy_voip.proxy.chat_facts import ChatFailover
from haproxy_voip.proxy.facts import BackendDown
from tests.simulation.chat_cluster import DOMAIN, ROOMS, ChatCluster
from tests.simulation.chat_reckoning import Reckoning

pytestmark = pytest.mark.simulation

ALICE, BOB = "alice/phone", "bob/phone"
LOBBY = f"lobby@{ROOMS}"
# What one login takes in events, and a failover of two sessions in a room; a few more do no harm.
LOGIN_EVENTS, FAILOVER_EVENTS = 30, 90
PATIENCE = 10.0  # virtual seconds


def talking(cluster: ChatCluster) -> Reckoning:
    """Alice and bob, in a room."""
    reckoning = Reckoning(cluster, [ALICE, BOB])
    cluster.online(ALICE, BOB)
    for name in (ALICE, BOB):
        cluster.act(name, "enter", LOBBY, name.replace("/", "-"))
        cluster.world.run(0.2)
    reckoning.strict = True
    return reckoning


def say(cluster: ChatCluster, reckoning: Reckoning) -> None:
    """Each a word to the other and one to all."""
    for speaker, hearer in ((ALICE, BOB), (BOB, ALICE)):
        to = f"{hearer.partition('/')[0]}@{DOMAIN}"
        id = reckoning.says(speaker, to, expected=[hearer])
        cluster.act(speaker, "say", to, "words", id=id)
        id = reckoning.says(speaker, LOBBY, expected=[ALICE, BOB])
        cluster.act(speaker, "say", LOBBY, "words", kind="groupchat", id=id)


def pass_events(cluster: ChatCluster, count: int) -> None:
    """Let so many more things happen."""
    until = cluster.world.events + count
    cluster.world.run_until(lambda: cluster.world.events >= until, 5.0)


def strike(cluster: ChatCluster, fault: str, name: str) -> None:
    if fault == "terminate":
        cluster.terminate(name)
    else:
        getattr(cluster.world, fault)(name)


@pytest.mark.parametrize("secure", [False, True])
def test_two_clients_chat_over_the_active_server(secure: bool) -> None:
    cluster = ChatCluster(1, secure=secure)
    reckoning = talking(cluster)
    say(cluster, reckoning)
    cluster.world.run(1.0)
    reckoning.check()
    assert sorted(cluster.server("alpha").sessions) == sorted(client.jid for client in cluster.clients.values())


@pytest.mark.parametrize("standby", ["available", "hot", "warm", "cold"])
@pytest.mark.parametrize("fault", ["kill", "freeze", "terminate"])
def test_a_failover_is_not_noticed(standby: str, fault: str) -> None:
    cluster = ChatCluster(2, standby=standby)
    reckoning = talking(cluster)
    say(cluster, reckoning)
    strike(cluster, fault, "alpha")
    say(cluster, reckoning)
    cluster.world.run(PATIENCE)
    reckoning.check()
    reckoning.check_views({LOBBY: [ALICE, BOB]})
    assert len(cluster.world.told(ChatFailover)) == 1


def test_a_client_that_lost_its_connection_during_a_failover_comes_back_to_its_session() -> None:
    cluster = ChatCluster(3)
    reckoning = talking(cluster)
    cluster.cut(BOB, client_notices=0.1, proxy_notices=3.0)
    cluster.world.kill("alpha")
    say(cluster, reckoning)
    cluster.world.run(PATIENCE)
    reckoning.check()
    assert len(cluster.world.told(ClientResumed, BOB)) == 1 and len(cluster.world.told(ClientHeard, BOB)) == 3


@pytest.mark.parametrize("fault", ["kill", "freeze", "terminate"])
@pytest.mark.parametrize("standby", ["available", "hot", "cold"])
def test_a_login_succeeds_whichever_of_its_steps_the_server_dies_at(fault: str, standby: str) -> None:
    for step in range(0, LOGIN_EVENTS, 2):
        cluster = ChatCluster(10 + step, standby=standby)
        cluster.client(*ALICE.split("/"))
        pass_events(cluster, step)
        strike(cluster, fault, "alpha")
        client = cluster.clients[ALICE]
        cluster.world.run_until(lambda: client.online, 12.0)  # noqa: B023 - of this turn
        cluster.world.run(1.0)
        assert client.online and len(cluster.world.told(ClientOnline, ALICE)) == 1, f"killed at step {step}"
        assert all(fact.temporary for fact in cluster.world.told(ClientTurnedAway)), f"killed at step {step}"


@pytest.mark.parametrize("standby", ["available", "hot", "cold"])
def test_a_login_ends_where_everybody_else_is_whichever_of_its_steps_they_are_moved_at(standby: str) -> None:
    """Seed 20570 of the storms: it stayed alone at the server that was left."""
    for step in range(0, LOGIN_EVENTS, 2):
        cluster = ChatCluster(50 + step, standby=standby)
        cluster.online(ALICE)
        cluster.client(*BOB.split("/"))
        pass_events(cluster, step)
        cluster.proxy.command("switch", name="beta")
        cluster.world.run(4.0)
        homes = [session.residence.backend for session in cluster.chat.shared.sessions.all]
        assert homes == ["beta", "beta"], f"at step {step}"


@pytest.mark.parametrize("fault", ["kill", "freeze", "terminate"])
@pytest.mark.parametrize("standby", ["available", "hot", "cold"])
def test_nothing_is_lost_whichever_step_of_a_failover_the_next_server_dies_at(fault: str, standby: str) -> None:
    for step in range(0, FAILOVER_EVENTS, 5):
        cluster = ChatCluster(100 + step, standby=standby)
        reckoning = talking(cluster)
        say(cluster, reckoning)
        cluster.world.kill("alpha")
        pass_events(cluster, step)
        say(cluster, reckoning)
        strike(cluster, fault, "beta")
        say(cluster, reckoning)
        cluster.world.run(PATIENCE)
        try:
            reckoning.check()
            reckoning.check_views({LOBBY: [ALICE, BOB]})
        except AssertionError as error:
            raise AssertionError(f"step {step}: {error}") from error


def lost(cluster: ChatCluster) -> list[str]:
    """The servers that were judged to be down, in order."""
    return [fact.backend for fact in cluster.world.told(BackendDown)]


def test_a_server_that_is_busy_with_everybody_who_has_just_come_is_not_left_as_well() -> None:
    """On a machine with too much to do each next server was taken for frozen, one after the other, in turn."""
    cluster = ChatCluster(4)
    reckoning = talking(cluster)
    cluster.world.kill("alpha")
    cluster.world.run_until(lambda: cluster.active == "beta", 1.0)
    for _ in range(3):
        cluster.world.freeze("beta")
        cluster.world.run(0.25)
        cluster.world.thaw("beta")
        say(cluster, reckoning)
        cluster.world.run(0.1)
    cluster.world.run(PATIENCE)
    assert lost(cluster) == ["alpha"]
    reckoning.check()


def test_the_last_server_is_not_left_for_a_pause() -> None:
    cluster = ChatCluster(5)
    reckoning = talking(cluster)
    for name in ("alpha", "beta"):
        cluster.world.kill(name)
        cluster.world.run(PATIENCE)
    say(cluster, reckoning)
    cluster.world.freeze("charlie")
    say(cluster, reckoning)
    cluster.world.run(2.0)
    cluster.world.thaw("charlie")
    cluster.world.run(PATIENCE)
    assert lost(cluster) == ["alpha", "beta"] and cluster.active == "charlie"
    reckoning.check()
