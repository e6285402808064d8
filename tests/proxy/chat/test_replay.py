"""What a new server is told and sent; most of it is in test_captured.py, test_rooms.py and test_failover.py."""

from __future__ import annotations

from tests.proxy.chat.stage import Stage, config


def test_a_server_hears_who_the_client_is_then_what_it_says_and_then_its_rooms() -> None:
    """Rooms are the most work for a server; what was said to one person does not wait for that."""
    stage = Stage(config("cold"))
    alice = stage.client("alice")
    room = alice.join("lobby")
    alice.ask("<query xmlns='jabber:iq:roster'/>")
    stage.run(1.0)
    stage.mute(alice)
    alice.say("nobody@other.test", "in doubt")
    stage.kill("alpha")
    alice.say("nobody@other.test", "newer")
    stage.run(1.0)
    told = [(one.name, one.to) for one in stage.beta.handled]
    said = ("message", "nobody@other.test")
    assert told[:4] == [("presence", None), said, ("iq", None), ("presence", f"{room}/alice")]
    assert ("iq", room) in told  # unlocked: it was made anew
    said = [one.element().find("body") for one in stage.beta.handled if one.name == "message"]
    assert [body.text for body in said if body is not None] == ["in doubt", "newer"]


def test_rooms_wait_until_the_server_has_what_was_said_to_one_person() -> None:
    """It answers when it is through with all it has: everybody's messages would wait for everybody's rooms."""
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    room = alice.join("lobby")
    stage.run(1.0)
    stage.mute(alice)
    alice.say(bob.jid, "waits")
    stage.kill("alpha")
    names = [one.to for one in stage.beta.handled if one.to is not None]
    assert names[:2] == [bob.jid, f"{room}/alice"]
    stage.run(1.0)
    assert bob.said() == ["waits"]


def test_a_server_that_is_switched_to_is_told_the_same_and_nothing_is_in_doubt() -> None:
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    alice.say(bob.jid, "1")
    stage.run(1.0)
    stage.command("switch", name="beta")
    stage.run(1.0)
    assert [one.raw for one in stage.beta.handled] == [b"<presence/>", b"<presence/>"]
    assert bob.said() == ["1"]


def test_what_is_told_again_counts_as_said_at_its_time() -> None:
    """XEP-0203, when it took longer than anybody would overlook."""
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    for name in stage.servers:
        stage.kill(name)
    alice.say(bob.jid, "late")
    stage.run(60.0)
    stage.revive("alpha")
    [late] = bob.take("message")
    delay = late.element().find("delay", "urn:xmpp:delay")
    assert delay is not None and delay.get("from") == "chat.test"
    assert (delay.get("stamp") or "").startswith("2023-11-14T22:13:")
