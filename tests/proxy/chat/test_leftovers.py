"""What a session leaves behind for a client that never acknowledged it."""

from __future__ import annotations

from haproxy_voip.proxy.chat.leftovers import original
from haproxy_voip.xmpp.element import parse_element
from tests.proxy.chat.server import DOMAIN
from tests.proxy.chat.stage import Client, Stage


def waits_for_bob(stage: Stage) -> tuple[Client, Client]:
    """Bob's client is away, and alice's message waits for it here."""
    alice, bob = stage.client("alice"), stage.client("bob")
    stage.run(1.0)
    bob.break_off()
    alice.say(bob.jid, "for bob", id="m")
    return alice, bob


def refused(client: Client) -> list[str | None]:
    """The ids of its messages that came back."""
    return [one.id for one in client.inbox if one.type == "error" and b"recipient-unavailable" in one.raw]


def test_the_server_it_came_from_keeps_it() -> None:
    stage = Stage()
    alice, _ = waits_for_bob(stage)
    stage.run(400.0)
    assert refused(alice) == [] and len(stage.alpha.offline[f"bob@{DOMAIN}"]) == 1
    again = stage.connect("bob")
    again.send("<presence/>")
    assert again.said() == ["for bob"]  # and is not taken for what it has had


def test_where_that_server_is_gone_the_sender_hears_that_it_did_not_arrive() -> None:
    stage = Stage()
    alice, _ = waits_for_bob(stage)
    stage.kill("alpha")
    stage.run(1.0)
    assert refused(alice) == []
    stage.run(400.0)
    assert refused(alice) == ["m"] and stage.beta.offline == {}


def test_also_when_there_is_no_server_at_all() -> None:
    stage = Stage()
    alice, _ = waits_for_bob(stage)
    for name in ("beta", "charlie", "alpha"):
        stage.kill(name)
    stage.run(400.0)
    assert refused(alice) == ["m"]


def test_a_sender_who_is_not_ours_hears_it_from_the_next_server() -> None:
    stage = Stage()
    _, bob = waits_for_bob(stage)
    stage.alpha.sessions[bob.jid].send(b"<message from='eve@other.test/x' id='e'><body>hi</body></message>")
    stage.settle()
    stage.kill("alpha")
    stage.run(400.0)
    [told] = [one for one in stage.beta.handled if one.to == "eve@other.test/x"]
    assert (told.id, told.type) == ("e", "error")


def test_nobody_is_told_of_what_was_not_said_to_anybody() -> None:
    """Somebody types, a room talks, an error comes: RFC 6120 section 8.3.1 forbids errors about errors."""
    stage = Stage()
    alice, bob = waits_for_bob(stage)
    server = stage.alpha.sessions[bob.jid]
    server.send(f"<message from='{alice.jid}' id='1'><composing xmlns='x'/></message>".encode())
    server.send(f"<message from='{alice.jid}' id='2' type='error'><body>no</body></message>".encode())
    server.send(f"<message from='{alice.jid}' id='3' type='groupchat'><body>all</body></message>".encode())
    server.send(f"<presence from='{alice.jid}'/>".encode())
    stage.settle()
    stage.kill("alpha")
    stage.run(400.0)
    assert refused(alice) == ["m"]


def test_a_copy_stands_for_what_it_is_a_copy_of() -> None:
    inside = "<message xmlns='jabber:client' from='a@x' id='1'><body>hi</body></message>"
    forwarded = f"<forwarded xmlns='urn:xmpp:forward:0'>{inside}</forwarded>"
    copy = parse_element(f"<message from='b@x'><sent xmlns='urn:xmpp:carbons:2'>{forwarded}</sent></message>".encode())
    assert original(copy).get("id") == "1"
    plain = parse_element(b"<message id='2'/>")
    assert original(plain) is plain
