"""Who has a message sent again when its server dies, and who not."""

from __future__ import annotations

from haproxy_voip.proxy.chat.custody import missing
from haproxy_voip.proxy.chat.entry import Entry
from tests.proxy.chat.server import DOMAIN, ROOMS
from tests.proxy.chat.stage import Client, Stage

BOB, CAROL = f"bob@{DOMAIN}", f"carol@{DOMAIN}"
CARBONS = "<enable xmlns='urn:xmpp:carbons:2'/>"
RECEIPT = "<received xmlns='urn:xmpp:receipts' id='1'/>"


def two_resources(stage: Stage) -> tuple[Client, Client]:
    """Bob's, both with copies."""
    both = stage.client("bob", "phone"), stage.client("bob", "tablet")
    for each in both:
        each.ask(CARBONS, kind="set")
    return both


def is_missing(stage: Stage, sender: Client) -> bool:
    """The newest message of the sender's."""
    session = stage.session(sender)
    [entry] = [entry for _, entry in session.traffic.outgoing._watched.values()][-1:]
    return missing(stage.node.chat.shared, session, entry)  # type: ignore[union-attr]


def test_a_message_every_session_had_is_not_missing() -> None:
    stage = Stage()
    alice = stage.client("alice")
    two_resources(stage)
    alice.say(BOB, "hello")
    assert not is_missing(stage, alice)


def test_a_message_one_of_two_sessions_did_not_get_is_missing() -> None:
    stage = Stage()
    alice = stage.client("alice")
    _, tablet = two_resources(stage)
    stage.mute(tablet)
    alice.say(BOB, "hello")
    assert is_missing(stage, alice)


def test_a_copy_that_another_session_did_not_get_is_missing() -> None:
    stage = Stage()
    alice = stage.client("alice")
    phone, tablet = two_resources(stage)
    stage.mute(tablet)
    alice.say(phone.jid, "hello")
    assert is_missing(stage, alice)


def test_a_receipt_is_for_one_session_and_no_server_has_to_copy_it() -> None:
    """XEP-0280 section 6: those without a body are copied by some servers (ejabberd) and not by others (Prosody)."""
    stage = Stage()
    alice = stage.client("alice")
    phone, tablet = two_resources(stage)
    stage.mute(tablet)
    alice.send(f"<message to='{phone.jid}' id='r1'>{RECEIPT}</message>")
    assert not is_missing(stage, alice)


def test_a_session_of_lower_priority_that_wants_no_copies_gets_none() -> None:
    """RFC 6121 section 8.5.2.1.1."""
    stage = Stage()
    alice, low, high = stage.client("alice"), stage.client("bob", "low"), stage.client("bob", "high")
    low.send("<presence><priority>1</priority></presence>")
    high.send("<presence><priority>5</priority></presence>")
    stage.mute(low)
    alice.say(BOB, "hello")
    assert not is_missing(stage, alice)


def test_what_is_said_in_a_room_is_for_everybody_in_it() -> None:
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    alice.join("party"), bob.join("party")
    alice.say(f"party@{ROOMS}", "heard", kind="groupchat")
    assert not is_missing(stage, alice)
    stage.mute(bob)
    alice.say(f"party@{ROOMS}", "not heard", kind="groupchat")
    assert is_missing(stage, alice)


def test_what_was_said_in_a_room_is_not_for_who_came_in_afterwards() -> None:
    """Seed 20276 of tests/simulation/chat_storms.py: it was said anew in the room at the next server."""
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    alice.join("party")
    alice.say(f"party@{ROOMS}", "before", kind="groupchat")
    stage.run(0.5)
    bob.join("party")
    assert not is_missing(stage, alice)


def test_recipients_who_are_not_ours_are_the_servers_business() -> None:
    stage = Stage()
    alice = stage.client("alice")
    alice.say(CAROL, "hello")
    assert not is_missing(stage, alice)


def test_an_answer_to_an_accounts_server_is_for_nobody_else() -> None:
    """RFC 6121 section 8.5.2.1.3. Prosody asks for capabilities in the name of each contact."""
    stage = Stage()
    alice = stage.client("alice")
    stage.client("bob")
    alice.send(f"<iq type='result' id='disco' to='{BOB}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>")
    assert not is_missing(stage, alice)


def test_nothing_of_ours_is_ever_missing() -> None:
    stage = Stage()
    alice = stage.client("alice")
    assert not missing(stage.node.chat.shared, stage.session(alice), Entry(None, b"<iq/>"))  # type: ignore[union-attr]
