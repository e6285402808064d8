"""RFC 6121's rules of presence, subscriptions and rosters, as far as a proxy must keep them: what clients and servers
say of it passes as it was said, and a move to another server changes nothing of it. docs/CONFORMANCE.md has every
section.
"""

from __future__ import annotations

import pytest

from haproxy_voip.xmpp.framing import Stanza
from tests.proxy.chat.client import Client
from tests.proxy.chat.server import DOMAIN
from tests.proxy.chat.stage import Stage

SUBSCRIPTIONS = ("subscribe", "subscribed", "unsubscribe", "unsubscribed")
ROSTER = "jabber:iq:roster"


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def alice(stage: Stage) -> Client:
    return stage.client("alice")


def told_beta(stage: Stage) -> list[Stanza]:
    """What the next server hears when the first has died."""
    stage.run(1.0)
    stage.kill("alpha")
    stage.run(1.0)
    return stage.beta.handled


def serve_roster(stage: Stage, version: str, *items: str) -> None:
    inside = "".join(items)
    for server in stage.servers.values():
        server.roster = f"<query xmlns='{ROSTER}' ver='{version}'>{inside}</query>".encode()


# -- 2: the roster --------------------------------------------------------------------------------------


def test_2_1_6_a_push_reaches_the_client_and_its_answer_the_server(stage: Stage, alice: Client) -> None:
    push = f"<iq type='set' id='p1'><query xmlns='{ROSTER}' ver='2'><item jid='new@x'/></query></iq>"
    stage.alpha.sessions[alice.jid].send(push.encode())
    stage.settle()
    assert [one.raw.decode() for one in alice.take("iq")] == [push]
    assert [(one.type, one.id) for one in stage.alpha.handled if one.name == "iq"] == [("result", "p1")]


def test_2_1_6_a_push_that_came_before_a_move_is_not_made_again_after_it(stage: Stage, alice: Client) -> None:
    serve_roster(stage, "1", "<item jid='old@x'/>")
    alice.ask(f"<query xmlns='{ROSTER}'/>")
    push = f"<iq type='set' id='p1'><query xmlns='{ROSTER}' ver='2'><item jid='new@x'/></query></iq>"
    stage.alpha.sessions[alice.jid].send(push.encode())
    stage.settle()
    alice.take()
    serve_roster(stage, "2", "<item jid='old@x'/>", "<item jid='new@x'/>")
    told_beta(stage)
    assert alice.take("iq") == []


@pytest.mark.parametrize("version", ["", "7"])
def test_2_6_2_a_version_is_asked_for_in_the_clients_words(stage: Stage, alice: Client, version: str) -> None:
    alice.ask(f"<query xmlns='{ROSTER}' ver='{version}'/>")
    asked = [one for one in stage.alpha.handled if one.name == "iq"][-1]
    assert f"<query xmlns='{ROSTER}' ver='{version}'/>".encode() in asked.raw


def test_2_6_3_the_next_server_is_asked_for_what_is_newer_than_the_clients_version(stage: Stage, alice: Client) -> None:
    serve_roster(stage, "41", "<item jid='old@x'/>")
    alice.ask(f"<query xmlns='{ROSTER}' ver=''/>")
    serve_roster(stage, "42", "<item jid='old@x'/>", "<item jid='new@x'/>")
    alice.take()
    asked = [one.raw for one in told_beta(stage) if ROSTER.encode() in one.raw]
    assert len(asked) == 1 and b"ver='41'" in asked[0]
    [push] = alice.take("iq")
    assert push.type == "set" and b"ver='42'" in push.raw and b"new@x" in push.raw and b"old@x" not in push.raw


def test_2_6_3_no_answer_but_an_empty_one_means_that_the_client_is_right(stage: Stage, alice: Client) -> None:
    for server in stage.servers.values():
        server.roster = b""
    alice.ask(f"<query xmlns='{ROSTER}' ver='41'/>")
    [answer] = alice.take("iq")
    assert answer.type == "result" and b"query" not in answer.raw
    asked = [one.raw for one in told_beta(stage) if ROSTER.encode() in one.raw]
    assert b"ver='41'" in asked[0] and alice.take("iq") == []


def test_2_1_who_never_asked_for_a_roster_is_told_of_none(stage: Stage, alice: Client) -> None:
    assert not [one for one in told_beta(stage) if ROSTER.encode() in one.raw]


# -- 3: subscriptions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SUBSCRIPTIONS)
def test_3_1_to_3_3_each_step_of_a_subscription_passes_both_ways_as_it_was_said(
    stage: Stage, alice: Client, kind: str
) -> None:
    said = f"<presence to='bob@{DOMAIN}' type='{kind}' id='s1'><status>please</status></presence>"
    heard = f"<presence from='bob@{DOMAIN}' to='alice@{DOMAIN}' type='{kind}' id='s2'/>"
    alice.send(said)
    assert stage.alpha.handled[-1].raw.decode() == said
    stage.alpha.sessions[alice.jid].send(heard.encode())
    stage.settle()
    assert [one.raw.decode() for one in alice.take("presence")] == [heard]


@pytest.mark.parametrize("kind", SUBSCRIPTIONS)
def test_3_1_to_3_3_and_also_right_after_a_move(stage: Stage, alice: Client, kind: str) -> None:
    """What servers tell anew is held back then; a step of a subscription is no such thing."""
    bob = stage.client("bob")
    alice.take()
    stage.kill("alpha")
    stage.run(0.2)
    heard = f"<presence from='{bob.jid.partition('/')[0]}' to='alice@{DOMAIN}' type='{kind}'/>"
    stage.beta.sessions[alice.jid].send(heard.encode())
    stage.settle()
    assert [one.raw.decode() for one in alice.take("presence")] == [heard]


@pytest.mark.parametrize("kind", SUBSCRIPTIONS)
def test_3_1_to_3_3_a_step_nobody_confirmed_is_taken_again_at_the_next_server(
    stage: Stage, alice: Client, kind: str
) -> None:
    """Each may be taken twice: it says how things shall be, and not by how much they shall change."""
    stage.run(1.0)
    stage.mute(alice)
    alice.send(f"<presence to='bob@{DOMAIN}' type='{kind}' id='s'/>")
    stage.kill("alpha")
    stage.run(1.0)
    assert [one.type for one in stage.beta.handled] == [None, kind]


# -- 4: presence ----------------------------------------------------------------------------------------


def test_4_2_1_who_has_not_said_that_it_is_there_is_not_made_available_by_a_move(stage: Stage) -> None:
    stage.connect("alice")
    assert told_beta(stage) == []


@pytest.mark.parametrize("kind", ["probe", "error", "subscribed"])
def test_4_3_probes_and_the_like_are_the_servers_to_judge(stage: Stage, alice: Client, kind: str) -> None:
    said = f"<presence to='bob@{DOMAIN}' type='{kind}' id='q'/>"
    alice.send(said)
    assert stage.alpha.handled[-1].raw.decode() == said and not alice.ended


def test_4_3_2_a_probe_from_the_server_reaches_the_client(stage: Stage, alice: Client) -> None:
    probe = f"<presence from='bob@{DOMAIN}' to='{alice.jid}' type='probe'/>"
    stage.alpha.sessions[alice.jid].send(probe.encode())
    stage.settle()
    assert [one.raw.decode() for one in alice.take("presence")] == [probe]


def test_4_4_and_4_7_the_last_word_is_told_to_the_next_server_with_all_that_is_in_it(
    stage: Stage, alice: Client
) -> None:
    last = (
        "<presence id='l' xml:lang='cs'><show>dnd</show><status>Wooing Juliet</status><status xml:lang='cs'>Dvořím se"
        "</status><priority>-5</priority><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='v'/>"
        "</presence>"
    )
    alice.send("<presence><priority>7</priority></presence>")
    alice.send(last)
    assert [one.raw.decode() for one in told_beta(stage)] == [last]


def test_4_5_2_who_said_goodbye_to_all_is_gone_for_those_too_it_had_told_alone(stage: Stage, alice: Client) -> None:
    alice.send("<presence to='x@other.test/z'/>")
    alice.send("<presence type='unavailable'><status>bye</status></presence>")
    assert told_beta(stage) == []


def test_4_5_4_who_vanishes_for_good_is_told_to_be_gone_once(stage: Stage, alice: Client) -> None:
    """The proxy does so by closing the stream at the server, which tells the contacts."""
    bob = stage.client("bob")
    alice.break_off()
    stage.run(stage.chat.shared.xmpp.resume + 5.0)
    gone = [(one.from_, one.type) for one in bob.take("presence")]
    assert gone == [(alice.jid, "unavailable")]


def test_4_6_2_directed_presence_passes_as_it_was_said(stage: Stage, alice: Client) -> None:
    said = f"<presence to='bob@{DOMAIN}' id='d'><status>psst</status></presence>"
    bob = stage.client("bob")
    alice.send(said)
    [heard] = bob.take("presence")
    assert heard.from_ == alice.jid and b"psst" in heard.raw


def test_4_6_3_it_is_told_again_after_a_move_behind_the_presence_to_all(stage: Stage, alice: Client) -> None:
    """The newest word to each; who hears it again there has heard it before, or was not there."""
    for status in ("one", "two"):
        alice.send(f"<presence to='x@other.test/z'><status>{status}</status></presence>")
    alice.send("<presence><show>away</show></presence>")
    told = [one.raw.decode() for one in told_beta(stage)]
    assert told == [
        "<presence><show>away</show></presence>",
        "<presence to='x@other.test/z'><status>two</status></presence>",
    ]


def test_4_6_1_it_needs_no_presence_to_all(stage: Stage) -> None:
    client = stage.connect("alice")
    client.send("<presence to='x@other.test/z'/>")
    assert [one.raw.decode() for one in told_beta(stage)] == ["<presence to='x@other.test/z'/>"]


def test_4_6_3_a_contact_that_is_told_alone_hears_nothing_twice_after_a_move(stage: Stage, alice: Client) -> None:
    bob = stage.client("bob")
    alice.send(f"<presence to='{bob.jid}'/>")
    bob.take()
    told_beta(stage)
    stage.run(10.0)
    assert bob.take("presence") == []
