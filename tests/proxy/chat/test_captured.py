"""What a new server is told: all that still holds, and nothing else."""

from __future__ import annotations

from haproxy_voip.xmpp.element import parse_element
from haproxy_voip.xmpp.framing import Stanza
from tests.proxy.chat.stage import Client, Stage

ROSTER = "<query xmlns='jabber:iq:roster'/>"


def sent_to_beta(stage: Stage) -> list[str]:
    return [one.raw.decode() for one in stage.beta.handled]


def over(stage: Stage) -> None:
    stage.run(1.0)
    stage.kill("alpha")
    stage.run(1.0)


def push_ids(client: Client) -> list[Stanza]:
    return [one for one in client.take("iq") if one.type == "set"]


def test_the_last_presence_is_told_and_no_earlier_one() -> None:
    stage = Stage()
    alice = stage.client("alice")
    alice.send("<presence><show>away</show></presence>")
    alice.send("<presence><show>dnd</show></presence>")
    over(stage)
    assert sent_to_beta(stage) == ["<presence><show>dnd</show></presence>"]


def test_a_client_that_made_itself_unavailable_stays_so() -> None:
    stage = Stage()
    alice = stage.client("alice")
    alice.send("<presence type='unavailable'/>")
    over(stage)
    assert sent_to_beta(stage) == []


def test_directed_presence_is_told_until_it_is_taken_back() -> None:
    stage = Stage()
    alice = stage.client("alice")
    for name in ("x", "y"):
        alice.send(f"<presence to='{name}@other.test/z'/>")
    alice.send("<presence to='x@other.test/z' type='unavailable'/>")
    over(stage)
    assert sent_to_beta(stage) == ["<presence/>", "<presence to='y@other.test/z'/>"]


def test_carbons_granted_are_asked_for_again_and_the_client_does_not_hear_of_it() -> None:
    stage = Stage()
    alice = stage.client("alice")
    alice.ask("<enable xmlns='urn:xmpp:carbons:2'/>", kind="set")
    alice.take()
    over(stage)
    assert "<enable xmlns='urn:xmpp:carbons:2'/>" in sent_to_beta(stage)[0]
    assert stage.beta.sessions[alice.jid].carbons and alice.inbox == []


def test_the_client_state_is_told_again_when_it_is_not_the_usual_one() -> None:
    stage = Stage()
    alice = stage.client("alice")
    nonzas: list[bytes] = []
    take = stage.beta.take
    stage.beta.take = lambda session, stanza, now: (  # type: ignore[method-assign]
        nonzas.append(stanza.raw) if stanza.name == "inactive" else take(session, stanza, now)  # type: ignore[func-returns-value]
    )
    alice.send("<inactive xmlns='urn:xmpp:csi:0'/>")
    over(stage)
    assert nonzas == [b"<inactive xmlns='urn:xmpp:csi:0'/>"]


def test_what_changed_in_the_roster_reaches_the_client_as_pushes() -> None:
    stage = Stage()
    alice = stage.client("alice")
    items = {
        stage.alpha: "<item jid='same@x'/><item jid='new@x' name='Old'/><item jid='gone@x'/>",
        stage.beta: "<item jid='new@x' name='New'/><item jid='same@x'/><item jid='more@x'/>",
    }
    for server, inside in items.items():
        server.roster = f"<query xmlns='jabber:iq:roster' ver='{server.name}'>{inside}</query>".encode()
    alice.ask(ROSTER)
    [roster] = alice.take("iq")
    assert roster.type == "result"
    over(stage)
    pushed = [parse_element(one.raw).children[0] for one in push_ids(alice)]
    changed = {(query.children[0].get("jid"), query.children[0].get("subscription")) for query in pushed}
    assert changed == {("new@x", None), ("more@x", None), ("gone@x", "remove")}
    assert {query.get("ver") for query in pushed} == {"beta"}
    # The client's answers to our pushes are ours: no server asked for them.
    assert [one for one in stage.beta.handled if one.name == "iq" and one.type == "result"] == []
    assert alice.acknowledged() == alice.sent.sent


def test_a_roster_that_is_the_same_is_no_news() -> None:
    stage = Stage()
    alice = stage.client("alice")
    alice.ask(ROSTER)
    alice.take()
    over(stage)
    assert alice.inbox == [] and "jabber:iq:roster" in sent_to_beta(stage)[-1]


def test_the_blocklist_is_asked_for_again_so_that_its_changes_are_told() -> None:
    stage = Stage()
    alice = stage.client("alice")
    alice.ask("<blocklist xmlns='urn:xmpp:blocking'/>")
    alice.take()
    over(stage)
    assert "<blocklist xmlns='urn:xmpp:blocking'/>" in sent_to_beta(stage)[-1] and alice.inbox == []


def test_subscriptions_in_doubt_are_asked_for_again() -> None:
    stage = Stage()
    alice = stage.client("alice")
    stage.run(1.0)
    stage.mute(alice)
    alice.send("<presence to='bob@chat.test' type='subscribe' id='s'/>")
    stage.kill("alpha")
    stage.run(1.0)
    assert [one.type for one in stage.beta.handled] == [None, "subscribe"]
