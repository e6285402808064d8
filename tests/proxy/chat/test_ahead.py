"""A session that is available at the next server before it is needed there."""

from __future__ import annotations

from collections.abc import Callable

from haproxy_voip.proxy.chat.ahead import MAX_KEPT, Ahead
from haproxy_voip.proxy.chat.contacts import MAX_FOLLOWED, Contacts
from haproxy_voip.xmpp.framing import Stanza, StreamFramer
from tests.proxy.chat.server import DOMAIN, Server
from tests.proxy.chat.stage import Client, Stage, config
from tests.proxy.chat.test_capabilities import CAN, NODE, QUERY, question

HEADER = b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
CARBONS = "xmlns='urn:xmpp:carbons:2'"


def stage_of_two() -> tuple[Stage, Client, Client]:
    stage = Stage(config("available"))
    alice, bob = stage.client("alice"), stage.client("bob")
    stage.run(1.0)
    return stage, alice, bob


def told(server: Server) -> list[str]:
    return [one.raw.decode() for one in server.handled if one.name == "presence"]


def says(server: Server, client: Client, raw: str) -> None:
    """The server sends the client's session this."""
    server.sessions[client.jid].send(raw.encode())
    client.stage.settle()


def test_after_a_failure_messages_wait_for_nothing() -> None:
    """Not even for one answer of the next server: it is mute from the first."""
    stage, alice, bob = stage_of_two()
    stage.beta.handled.clear()
    stage.mute(bob)
    alice.say(f"bob@{DOMAIN}", "in doubt")
    stage.beta.mute = True
    stage.kill("alpha")
    alice.say(bob.jid, "new")
    assert [one.name for one in stage.beta.handled] == ["message", "message"]


def test_what_the_client_tells_its_server_the_next_one_is_told_at_once() -> None:
    stage, alice, _ = stage_of_two()
    stage.beta.handled.clear()
    said = [
        "<presence><show>away</show></presence>",
        f"<presence to='x@{DOMAIN}/y'/>",
        "<presence type='unavailable'/>",
    ]
    for one in said:
        alice.send(one)
    assert told(stage.beta) == said
    alice.ask(f"<enable {CARBONS}/>", kind="set")
    assert stage.beta.sessions[alice.jid].carbons
    alice.ask(f"<disable {CARBONS}/>", kind="set")
    assert not stage.beta.sessions[alice.jid].carbons


def test_what_it_takes_back_is_taken_back_there() -> None:
    stage, alice, _ = stage_of_two()
    alice.send(f"<presence to='x@{DOMAIN}/y'/>")
    stage.beta.handled.clear()
    alice.send(f"<presence to='x@{DOMAIN}/y' type='unavailable'/>")
    assert told(stage.beta) == [f"<presence to='x@{DOMAIN}/y' type='unavailable'/>"]
    stage.kill("alpha")
    stage.run(1.0)
    assert len(told(stage.beta)) == 1


def test_a_reserve_that_comes_late_is_told_all_of_it() -> None:
    stage = Stage(config("available"))
    alice = stage.client("alice")
    alice.send(f"<presence to='x@{DOMAIN}/y'/>")
    alice.ask(f"<enable {CARBONS}/>", kind="set")
    stage.run(1.0)
    stage.kill("beta")
    stage.run(2.0)
    charlie = stage.servers["charlie"]
    assert told(charlie) == ["<presence/>", f"<presence to='x@{DOMAIN}/y'/>"] and charlie.sessions[alice.jid].carbons


def test_the_client_hears_nothing_of_it() -> None:
    stage, alice, bob = stage_of_two()
    alice.send("<presence><show>away</show></presence>")
    alice.take(), bob.take()
    stage.run(1.0)
    stage.kill("beta")
    stage.run(10.0)
    stage.kill("alpha")
    stage.run(10.0)
    assert alice.inbox == [] and bob.inbox == []


def test_who_is_missing_there_is_gone_after_a_while() -> None:
    stage, alice, bob = stage_of_two()
    says(stage.beta, alice, f"<presence from='{bob.jid}' type='unavailable'/>")
    stage.kill("alpha")
    stage.run(1.0)
    assert alice.inbox == []
    stage.run(10.0)
    assert [(one.type, one.from_) for one in alice.take("presence")] == [("unavailable", bob.jid)]


def test_what_only_the_next_server_knows_is_heard_when_it_is_the_one() -> None:
    stage, alice, _ = stage_of_two()
    there = f"<presence from='carol@{DOMAIN}/z'><show>dnd</show></presence>"
    wants = f"<presence from='dave@{DOMAIN}' type='subscribe'/>"
    says(stage.beta, alice, there)
    says(stage.beta, alice, wants)
    assert alice.inbox == []
    stage.kill("alpha")
    stage.run(1.0)
    assert [(one.type, one.from_) for one in alice.take()] == [
        (None, f"carol@{DOMAIN}/z"),
        ("subscribe", f"dave@{DOMAIN}"),
    ]


def test_occupants_of_a_room_that_an_earlier_session_there_is_still_in_are_nobodys_contacts() -> None:
    stage, alice, _ = stage_of_two()
    occupant = "<x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='participant'/></x>"
    says(stage.beta, alice, f"<presence from='lobby@rooms.{DOMAIN}/dave'>{occupant}</presence>")
    stage.kill("alpha")
    stage.run(10.0)
    assert alice.inbox == []


def test_what_was_kept_for_the_user_there_arrives_and_news_of_contacts_do_not() -> None:
    stage, alice, _ = stage_of_two()
    item = "<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='n'><item id='1'/></items></event>"
    says(stage.beta, alice, f"<message from='bob@{DOMAIN}'>{item}</message>")
    says(stage.beta, alice, f"<message from='x@{DOMAIN}/y' id='kept'><body>from last week</body></message>")
    assert alice.said() == ["from last week"] and len(alice.inbox) == 1


def asked(stage: Stage, alice: Client) -> list[bytes]:
    says(stage.beta, alice, question(f"bob@{DOMAIN}", alice).decode())
    return [one.raw for one in stage.beta.handled if one.name == "iq"]


def test_what_the_client_can_it_is_told_at_once_if_that_is_known() -> None:
    stage, alice, _ = stage_of_two()
    alice.send(f"<iq to='bob@{DOMAIN}' type='result' id='disco'>{QUERY.format(node=NODE, inside=CAN)}</iq>")
    [answer] = asked(stage, alice)
    assert b"urn:xmpp:ping" in answer and stage.beta.unacknowledged(alice.jid) == 0


def test_and_else_the_client_is_asked_once_that_is_its_server() -> None:
    stage, alice, _ = stage_of_two()
    assert asked(stage, alice) == [] and alice.inbox == []
    stage.kill("alpha")
    stage.run(1.0)
    assert [one.id for one in alice.take("iq")] == ["disco"]


def test_a_server_that_thaws_is_told_anew() -> None:
    stage, alice, bob = stage_of_two()
    stage.freeze("alpha")
    stage.run(2.0)
    alice.send("<presence><show>away</show></presence>")
    alice.take(), bob.take()
    stage.thaw("alpha")
    stage.run(5.0)
    assert stage.alpha.sessions[alice.jid].presence is not None
    assert b"away" in stage.alpha.sessions[alice.jid].presence
    stage.kill("beta")
    alice.say(bob.jid, "back again")
    stage.run(10.0)
    assert bob.said() == ["back again"] and len(bob.inbox) == 1 and alice.inbox == []


def stanzas(raw: str) -> list[Stanza]:
    framer = StreamFramer()
    framer.feed(HEADER)
    return [one for one in framer.feed(raw.encode()) if isinstance(one, Stanza)]


def taken(ahead: Ahead, make: Callable[[int], str], count: int) -> None:
    for stanza in stanzas("".join(make(number) for number in range(count))):
        assert ahead.takes(stanza, Contacts())


def test_it_does_not_keep_without_end() -> None:
    ahead = Ahead()
    taken(ahead, lambda number: f"<presence from='a@b/{number}'/>", MAX_FOLLOWED + 1)
    assert len(ahead.contacts) == MAX_FOLLOWED
    taken(ahead, lambda number: f"<presence from='a@b' id='{number}' type='subscribe'/>", MAX_KEPT + 1)
    assert len(ahead.kept()) == MAX_FOLLOWED + MAX_KEPT
