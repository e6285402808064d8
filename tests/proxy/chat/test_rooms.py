"""Rooms over a failover: entered again, and nobody inside notices."""

from __future__ import annotations

import pytest

from haproxy_voip.embedded.chat_session import ChatSession, Kept
from haproxy_voip.proxy.chat.traffic import DELAYED_SECONDS
from haproxy_voip.xmpp.framing import Stanza
from tests.proxy.chat.stage import Client, Stage, config

STANDBY = pytest.mark.parametrize("standby", ["available", "hot", "warm", "cold"])


def in_a_room(stage: Stage, *names: str) -> tuple[str, list[Client]]:
    """All of them are, the first one made it."""
    clients = [stage.client(name) for name in names]
    room = ""
    for client in clients:
        room = client.join("lobby")
    stage.run(1.0)
    for client in clients:
        client.inbox.clear()
    return room, clients


@STANDBY
def test_a_failover_goes_unnoticed_inside(standby: str) -> None:
    stage = Stage(config(standby))
    room, clients = in_a_room(stage, "alice", "bob", "carol")
    stage.kill("alpha")
    stage.run(20.0)
    assert [client.inbox for client in clients] == [[], [], []]
    assert sorted(stage.beta.occupants(room)) == ["alice", "bob", "carol"]


@STANDBY
def test_what_is_said_meanwhile_reaches_everybody_once_and_in_order(standby: str) -> None:
    stage = Stage(config(standby))
    room, clients = in_a_room(stage, "alice", "bob", "carol")
    for number in range(60):
        clients[number % 3].say(room, f"{number}", kind="groupchat")
        if number == 20:
            stage.mute(clients[1])
        if number == 30:
            stage.kill("alpha")
        stage.run(0.005)
    stage.run(10.0)
    for client in clients:
        said = client.said()
        assert sorted(said, key=int) == [str(number) for number in range(60)]
        for speaker in range(3):
            assert [one for one in said if int(one) % 3 == speaker] == [str(n) for n in range(60) if n % 3 == speaker]


def test_the_former_owner_makes_the_room_anew() -> None:
    stage = Stage()
    room, _ = in_a_room(stage, "bob", "alice", "carol")
    stage.kill("alpha")
    stage.run(1.0)
    assert stage.beta.rooms.by_address[room].owner == "bob@chat.test"
    forms = [one for one in stage.beta.handled if b"muc#owner" in one.raw]
    assert [one.type for one in forms] == ["set"]  # unlocked, and nobody sees the answer


def test_an_owner_who_is_late_is_waited_for_a_second_only() -> None:
    stage = Stage()
    room, [bob, _alice] = in_a_room(stage, "bob", "alice")
    reserve = stage.beta.sessions[bob.jid].link
    assert reserve is not None
    reserve.mute = True  # it is never said to know all
    stage.kill("alpha")
    stage.run(0.5)
    assert list(stage.beta.occupants(room)) == []
    stage.run(1.5)
    assert list(stage.beta.occupants(room)) == ["alice", "bob"]


def test_an_owner_who_does_not_come_at_all_is_not_waited_for() -> None:
    stage = Stage(config("cold"))
    room, [bob, _alice] = in_a_room(stage, "bob", "alice")
    stage.beta.passwords = stage.passwords | {"bob": "another"}
    stage.kill("alpha")
    stage.run(0.5)
    assert bob.ended
    assert list(stage.beta.occupants(room)) == ["alice"]


def test_occupants_who_were_only_at_the_dead_server_have_left_after_the_hold() -> None:
    stage = Stage()
    dave = stage.stranger(stage.alpha, "dave")
    room, [alice] = in_a_room(stage, "alice")
    stage.alpha.occupants(room)["dave"] = dave
    alice.send(f"<presence to='{room}/alice'><show>away</show></presence>")
    alice.send(f"<presence to='{room}/alice'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
    stage.settle()
    alice.inbox.clear()
    stage.kill("alpha")
    stage.run(3.0)
    assert [one.raw for one in alice.inbox if "rooms" in (one.from_ or "")] == []
    stage.run(3.0)
    [gone] = [one for one in alice.inbox if one.from_ == f"{room}/dave"]
    assert gone.type == "unavailable" and b"role='none'" in gone.raw


def test_what_was_said_in_the_room_before_is_not_heard_again_from_its_history() -> None:
    stage = Stage()
    room, [alice, bob] = in_a_room(stage, "alice", "bob")
    alice.say(room, "old news", kind="groupchat")
    history = stage.beta.rooms.room(room).history
    history += stage.alpha.rooms.by_address[room].history
    missed = f"<message from='{room}/dave' type='groupchat' id='x'><body>you missed this</body></message>"
    history.append(Kept(missed.encode(), history[-1].at))
    stage.kill("alpha")
    stage.run(10.0)
    assert bob.said() == ["old news", "you missed this"]
    assert alice.said() == ["old news", "you missed this"]


def test_what_was_said_before_a_client_came_in_is_not_told_it_by_the_next_room() -> None:
    stage = Stage()
    room, [bob] = in_a_room(stage, "bob")
    bob.say(room, "before your time", kind="groupchat")
    said = list(stage.alpha.rooms.by_address[room].history)
    stage.alpha.rooms.by_address[room].history.clear()  # alice asks for none
    stage.run(0.1)
    alice = stage.client("alice")
    alice.send(f"<presence to='{room}/alice'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
    stage.settle()
    stage.beta.rooms.room(room).history += said
    stage.kill("alpha")
    stage.run(10.0)
    assert alice.said() == bob.said() == []


def test_whoever_is_not_let_in_again_is_told_that_it_is_out() -> None:
    stage = Stage()
    room, [alice] = in_a_room(stage, "alice")
    enter = stage.beta.rooms.take

    def refuse(session: ChatSession, stanza: Stanza) -> None:
        error = f"<presence from='{stanza.to}' to='{alice.jid}' type='error'><error type='auth'/></presence>"
        session.send(error.encode())

    stage.beta.rooms.take = refuse  # type: ignore[method-assign]
    stage.kill("alpha")
    stage.run(1.0)
    stage.beta.rooms.take = enter  # type: ignore[method-assign]
    [out] = alice.take("presence")
    assert out.from_ == f"{room}/alice" and out.type == "unavailable"
    assert b"code='110'" in out.raw and b"code='333'" in out.raw
    stage.kill("beta")
    stage.run(1.0)
    assert room not in stage.servers["charlie"].rooms.by_address


def test_who_was_about_to_leave_has_left() -> None:
    stage = Stage()
    room, [bob, alice] = in_a_room(stage, "bob", "alice")
    stage.mute(alice)
    stage.alpha.poison = b"unavailable"
    alice.send(f"<presence to='{room}/alice' type='unavailable'/>")
    stage.kill("alpha")
    stage.run(10.0)
    [left] = alice.take("presence")
    assert left.from_ == f"{room}/alice" and left.type == "unavailable" and b"code='110'" in left.raw
    assert [(one.from_, one.type) for one in bob.take("presence")] == [(f"{room}/alice", "unavailable")]
    assert list(stage.beta.occupants(room)) == ["bob"]


def test_who_was_about_to_come_in_comes_in() -> None:
    stage = Stage()
    alice = stage.client("alice")
    stage.run(1.0)
    stage.alpha.poison = b"muc"
    room = alice.join("lobby")
    stage.kill("alpha")
    stage.run(1.0)
    [entered] = alice.take("presence")
    assert entered.from_ == f"{room}/alice" and b"code='110'" in entered.raw


def test_a_new_nick_is_kept_over_a_failover() -> None:
    stage = Stage()
    room, [alice, _] = in_a_room(stage, "alice", "bob")
    session = stage.session(alice)
    user = "http://jabber.org/protocol/muc#user"
    server = stage.alpha.sessions[alice.jid]
    item = "<item affiliation='owner' role='participant' nick='ally'/>"
    changed = f"<x xmlns='{user}'>{item}<status code='303'/><status code='110'/></x>"
    server.send(f"<presence from='{room}/alice' to='{alice.jid}' type='unavailable'>{changed}</presence>".encode())
    now = f"<x xmlns='{user}'><item affiliation='owner' role='participant'/><status code='110'/></x>"
    server.send(f"<presence from='{room}/ally' to='{alice.jid}'>{now}</presence>".encode())
    stage.settle()
    assert session.traffic.captured.rooms.get(room) is not None
    stage.kill("alpha")
    stage.run(1.0)
    assert sorted(stage.beta.occupants(room)) == ["ally", "bob"]


def test_what_a_room_says_of_itself_is_no_occupant() -> None:
    """XEP-0486: its avatar."""
    stage = Stage()
    room, [alice] = in_a_room(stage, "alice")
    said = f"<presence from='{room}' to='{alice.jid}'><x xmlns='vcard-temp:x:update'><photo/></x></presence>"
    stage.alpha.sessions[alice.jid].send(said.encode())
    stage.settle()
    assert [one.from_ for one in alice.take()] == [room]
    stage.kill("alpha")
    stage.run(10.0)
    assert alice.inbox == []


def test_who_makes_a_room_anew_hears_what_is_new_in_it_and_not_that_it_was_made() -> None:
    """A client that is told of 201 offers to configure the room. Openfire also says that it is locked."""
    stage = Stage()
    room, [alice] = in_a_room(stage, "alice")
    send = stage.beta.sessions[alice.jid].send

    def changed(raw: bytes) -> None:
        send(raw.replace(b"role='participant'", b"role='moderator'"))
        if b"code='201'" in raw:
            send(f"<message from='{room}' to='{alice.jid}' type='groupchat'><body>locked</body></message>".encode())

    stage.beta.sessions[alice.jid].send = changed  # type: ignore[method-assign]
    stage.kill("alpha")
    stage.run(1.0)
    [told] = alice.take()
    assert told.from_ == f"{room}/alice" and b"moderator" in told.raw and b"code='110'" in told.raw
    assert b"201" not in told.raw
    stage.run(10.0)
    stage.beta.sessions[alice.jid].send(
        f"<message from='{room}' to='{alice.jid}' type='groupchat'><body>hello</body></message>".encode()
    )
    stage.settle()
    assert alice.said() == ["hello"]


def said_while_the_server_fails(stage: Stage, *, acknowledges: bool = True, ago: float = 0.0) -> tuple[str, Client]:
    """Bob heard what alice said, and logged out; the server is gone, and alice is not back in the room for a second,
    because she waits for its owner.
    """
    room, [carol, alice, bob] = in_a_room(stage, "carol", "alice", "bob")
    reserve = stage.beta.sessions[carol.jid].link
    assert reserve is not None
    reserve.mute = True
    stage.mute(alice)
    bob.acknowledges = acknowledges
    alice.say(room, "once", kind="groupchat")
    assert bob.said() == ["once"]
    bob.send("</stream:stream>")
    stage.run(ago)
    stage.kill("alpha")
    stage.run(0.5)
    assert not stage.beta.occupants(room)
    return room, bob


def back_in(stage: Stage, room: str, name: str = "bob", history: str = "<history maxstanzas='0'/>") -> Client:
    client = stage.connect(name)
    client.send("<presence/>")
    client.send(f"<presence to='{room}/{name}'><x xmlns='http://jabber.org/protocol/muc'>{history}</x></presence>")
    stage.run(5.0)
    return client


@pytest.mark.parametrize("ago", [0.0, 2 * DELAYED_SECONDS])
def test_what_was_heard_before_logging_out_is_not_heard_again_as_the_room_is_told_it_again(ago: float) -> None:
    """Seed 600040 of tests/simulation/chat_storms.py. After two seconds the repetition says since when it waits."""
    stage = Stage()
    room, _ = said_while_the_server_fails(stage, ago=ago)
    assert back_in(stage, room).said() == []
    assert [one.to for one in stage.beta.handled if one.type == "groupchat"] == [room]


def test_what_was_not_acknowledged_before_logging_out_is_heard_as_the_room_is_told_it_again() -> None:
    stage = Stage()
    room, _ = said_while_the_server_fails(stage, acknowledges=False)
    assert back_in(stage, room).said() == ["once"]


def test_who_never_heard_it_hears_what_the_room_is_told_again() -> None:
    stage = Stage()
    room, _ = said_while_the_server_fails(stage)
    assert back_in(stage, room, "dave").said() == ["once"]


def test_who_asks_for_what_was_said_hears_it_though_it_was_heard_before_logging_out() -> None:
    """XEP-0045 section 7.2.14: that is history, which the client has asked for."""
    stage = Stage()
    room, _ = said_while_the_server_fails(stage)
    stage.run(2.0)
    assert back_in(stage, room, history="").said() == ["once"]


def test_another_client_of_the_user_that_was_in_the_room_hears_what_it_has_not_had() -> None:
    stage = Stage()
    room, [_, alice, desk] = in_a_room(stage, "carol", "alice", "bob")
    phone = stage.client("bob", "phone")
    phone.join("lobby", "bobs-phone")
    stage.run(1.0)
    stage.mute(alice)
    stage.mute(desk)
    alice.say(room, "once", kind="groupchat")
    assert phone.said() == ["once"]
    phone.send("</stream:stream>")
    stage.kill("alpha")
    stage.run(5.0)
    assert desk.said() == ["once"]
