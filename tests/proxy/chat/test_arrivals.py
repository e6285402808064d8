"""What comes from a backend and what of it the client hears."""

from __future__ import annotations

from tests.proxy.chat.server import DOMAIN
from tests.proxy.chat.stage import Client, Stage

EVENT = (
    "<message from='bob@chat.test' type='headline'><event xmlns='http://jabber.org/protocol/pubsub#event'>"
    "<items node='mood'><item id='{id}'/></items></event></message>"
)


def from_server(stage: Stage, client: Client, raw: str) -> int:
    """How many stanzas the client got of that."""
    name = stage.backend_of(client)
    assert name is not None
    before = len(client.inbox)
    stage.servers[name].sessions[client.jid].send(raw.encode())
    stage.settle()
    return len(client.inbox) - before


def moved(stage: Stage) -> Client:
    alice = stage.client("alice")
    stage.run(1.0)
    return alice


def over(stage: Stage) -> None:
    stage.kill("alpha")
    stage.run(1.0)


def test_news_of_contacts_that_a_new_server_tells_again_are_not_heard_again() -> None:
    """XEP-0163 section 4.3.4: the last item is sent to whoever becomes available."""
    stage = Stage()
    alice = moved(stage)
    assert from_server(stage, alice, EVENT.format(id=1)) == 1
    assert from_server(stage, alice, EVENT.format(id=1)) == 1  # without a failover that is the server's business
    over(stage)
    assert from_server(stage, alice, EVENT.format(id=1)) == 0
    assert from_server(stage, alice, EVENT.format(id=2)) == 1


def test_what_a_stranger_said_is_not_heard_again_from_a_store() -> None:
    stage = Stage()
    alice = moved(stage)
    said = "<message from='x@other.test/y' id='1'><body>hi</body>{}</message>"
    stored = said.format("<delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>")
    assert from_server(stage, alice, said.format("")) == 1
    over(stage)
    assert from_server(stage, alice, stored) == 0
    assert from_server(stage, alice, said.format("")) == 1  # said again, not stored
    assert from_server(stage, alice, stored.replace("'1'", "'2'")) == 1


def test_subscription_requests_and_probes_are_passed_on() -> None:
    stage = Stage()
    alice = moved(stage)
    for kind in ("subscribe", "subscribed", "unsubscribe", "unsubscribed"):
        assert from_server(stage, alice, f"<presence from='x@other.test' type='{kind}'/>") == 1


def test_requests_of_a_server_reach_the_client() -> None:
    stage = Stage()
    alice = moved(stage)
    assert from_server(stage, alice, f"<iq from='{DOMAIN}' id='1' type='get'><q xmlns='disco'/></iq>") == 1


def test_a_stranger_who_leaves_during_the_hold_has_left() -> None:
    stage = Stage()
    alice = moved(stage)
    assert from_server(stage, alice, "<presence from='x@other.test/y'/>") == 1
    over(stage)
    assert from_server(stage, alice, "<presence from='x@other.test/y'/>") == 0
    assert from_server(stage, alice, "<presence from='x@other.test/y' type='unavailable'/>") == 1
    stage.run(10.0)
    assert len(alice.inbox) == 2


def test_who_asked_to_leave_before_it_was_in_stays_out() -> None:
    """Seed 343 of tests/simulation/chat_storms.py: the answer to the join made the proxy believe in it."""
    stage = Stage()
    alice = stage.client("alice")
    stage.freeze("alpha")
    room = alice.join("lobby")
    alice.send(f"<presence to='{room}/alice' type='unavailable'/>")
    stage.alpha.thaw(stage.now)
    stage.run(10.0)
    assert [one.type for one in alice.take("presence")] == [None, "unavailable"]
    assert stage.alpha.occupants(room) == {}


def test_a_room_that_was_left_is_not_heard_from_a_server_that_was_left() -> None:
    stage = Stage()
    alice = stage.client("alice")
    room = alice.join("lobby")
    stage.run(1.0)
    alice.send(f"<presence to='{room}/alice' type='unavailable'/>")
    stage.settle()
    alice.inbox.clear()
    reserve = stage.beta.sessions[alice.jid]
    reserve.send(f"<message from='{room}/bob' type='groupchat' id='1'><body>late</body></message>".encode())
    reserve.send(b"<message from='bob@other.test/x' id='2'><body>not late</body></message>")
    stage.settle()
    assert alice.said() == ["not late"]


def test_an_error_about_who_is_here_is_not_heard_from_a_server_that_was_left() -> None:
    """Seed 373: a request was answered by the server that went and by the next one."""
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    stage.run(1.0)
    gone = "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
    reserve = stage.beta.sessions[alice.jid]
    reserve.send(f"<iq from='{bob.jid}' type='error' id='1'>{gone}</iq>".encode())
    reserve.send(f"<iq from='nobody@{DOMAIN}/x' type='error' id='2'>{gone}</iq>".encode())
    stage.settle()
    assert [one.id for one in alice.take("iq")] == ["2"]


SENT = (
    "<message from='alice@chat.test' to='alice@chat.test/tablet'><sent xmlns='urn:xmpp:carbons:2'>"
    "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='alice@chat.test/{author}' "
    "to='bob@chat.test' type='chat' id='{id}'><body>hi</body></message></forwarded></sent>"
    "<delay xmlns='urn:xmpp:delay' from='chat.test' stamp='2026-01-01T00:00:00Z'/></message>"
)


def test_an_author_is_not_told_its_own_words_from_a_store() -> None:
    """Prosody, stopped, stored the tablet's copy, and handed it to the phone, who had said it."""
    stage = Stage()
    phone, tablet = stage.client("alice", "phone"), stage.client("alice", "tablet")
    stage.run(1.0)
    assert from_server(stage, phone, SENT.format(author="phone", id=1)) == 0
    assert from_server(stage, phone, SENT.format(author="third", id=2)) == 1  # nobody else has it
    assert from_server(stage, tablet, SENT.format(author="phone", id=3)) == 1


def test_what_another_client_of_the_account_has_had_is_not_heard_from_a_store() -> None:
    stage = Stage()
    phone, tablet = stage.client("alice", "phone"), stage.client("alice", "tablet")
    stage.run(1.0)
    said = f"<message from='x@other.test/y' to='{tablet.jid}' id='1' type='chat'><body>hi</body>{{}}</message>"
    stored = said.format("<delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>")
    assert from_server(stage, tablet, said.format("")) == 1
    assert from_server(stage, phone, stored) == 0
    assert from_server(stage, phone, stored.replace("id='1'", "id='2'")) == 1  # who it was for never got that
