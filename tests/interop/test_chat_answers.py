"""A client is told the same through the proxy as straight by a server: each script is played at both places."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import pytest

from tests.interop.actors import DOUBT_SECONDS, PING, Actor, Stage, difference, error_of
from tests.interop.chat_house import House, Plan
from tests.interop.chat_proxy import PATIENT, ChatSetting
from tests.interop.chat_servers import DOMAIN

USERS = 120

SETTING = ChatSetting(users=USERS, lines=(PATIENT,))
PLANS = [
    pytest.param(Plan(families=(family, family), users=USERS, contacts=False, setting=SETTING), id=family)
    for family in ("prosody", "ejabberd")
]
pytestmark = pytest.mark.parametrize("house", PLANS, indirect=True, scope="module")

Script = Callable[[Stage], Any]
DISCO = "http://jabber.org/protocol/disco"
ROSTER = "jabber:iq:roster"
CARBONS = "<enable xmlns='urn:xmpp:carbons:2'/>"


@pytest.fixture(scope="module")
def users(house: House) -> Iterator[int]:
    """At both places the servers are the same; the users are others each time, so nothing is left of other plays."""
    return iter(range(1001, 1001 + USERS))


@pytest.fixture
def both(house: House, users: Iterator[int]) -> Iterator[Callable[[Script], Any]]:
    """Plays a script at both places; returns what came of it, which is the same."""
    house.restore()
    straight = Stage(house.talkers, house.servers[0].address, list(islice(users, 3)))
    through = Stage(house.talkers, house.proxy.address, list(islice(users, 3)), DOUBT_SECONDS)

    def play(script: Script) -> Any:
        expected, told = script(straight), script(through)
        assert told == expected, difference(expected, told)
        return told

    yield play
    straight.clear()
    through.clear()


Both = Callable[[Script], Any]


def befriend(stage: Stage, *actors: Actor) -> None:
    """Everybody sees everybody's presence."""
    for one in actors:
        for other in actors:
            if other is not one:
                stage.say(one, f"<presence type='subscribe' to='{other.bare}'/>")
                stage.wait(other, lambda told: told.attributes.get("type") == "subscribe")
                stage.say(other, f"<presence type='subscribed' to='{one.bare}'/>")
                stage.settle()
                other.told.clear()
    stage.settle()
    for actor in actors:
        actor.told.clear()


# -- logging in (RFC 6120 sections 6 and 7) -----------------------------------------------------------------


def test_a_wrong_password_is_not_authorized(both: Both) -> None:
    assert both(lambda stage: stage.wait_refused(stage.knock("A", secret="wrong"))) == "not-authorized"


def test_an_unknown_user_is_not_authorized(both: Both) -> None:
    assert both(lambda stage: stage.wait_refused(stage.knock("nobody"))) == "not-authorized"


def test_the_resource_that_was_asked_for_is_bound(both: Both) -> None:
    """RFC 6120 section 7.7.2."""

    def script(stage: Stage) -> str:
        return str(stage.enter("A", "desk").talker.client.boundjid.resource)

    assert both(script) == "desk"


def test_a_second_login_with_the_same_resource_puts_the_first_one_out(both: Both) -> None:
    """RFC 6120 section 7.7.2.2, case 3."""

    def script(stage: Stage) -> tuple[str, str]:
        first, second = stage.enter("A", "desk"), stage.enter("A", "desk")
        return stage.wait_ended(first), str(second.talker.client.boundjid.resource)

    assert both(script) == ("conflict", "desk")


# -- questions to the server --------------------------------------------------------------------------------


def test_a_ping_is_answered(both: Both) -> None:
    """XEP-0199: by the server, for the account, and with an error where there is nobody."""

    def script(stage: Stage) -> list[Any]:
        asker = stage.enter("A")
        return [stage.ask(asker, PING, to) for to in (DOMAIN, "{A}", "", "{B}/nowhere", f"nobody@{DOMAIN}")]

    *_, absent, _unknown = both(script)
    assert error_of(absent) == "service-unavailable"


def test_what_the_server_and_the_account_can_is_told(both: Both) -> None:
    """XEP-0030."""

    def script(stage: Stage) -> list[Any]:
        asker = stage.enter("A")
        questions = [f"<query xmlns='{DISCO}#{kind}'/>" for kind in ("info", "items")]
        return [stage.ask(asker, each, to) for each in questions for to in (DOMAIN, "{A}", f"rooms.{DOMAIN}")]

    both(script)


def test_an_unknown_question_is_answered_with_an_error(both: Both) -> None:
    """RFC 6120 section 8.4."""

    def script(stage: Stage) -> Any:
        asker = stage.enter("A")
        return [
            stage.ask(asker, "<query xmlns='urn:example:unknown'/>", to, kind)
            for to in (DOMAIN, "{A}")
            for kind in ("get", "set")
        ]

    assert {error_of(answer) for answer in both(script)} <= {"service-unavailable", "feature-not-implemented"}


def test_the_servers_version_and_time_are_asked_for(both: Both) -> None:
    def script(stage: Stage) -> Any:
        asker = stage.enter("A")
        version = stage.ask(asker, "<query xmlns='jabber:iq:version'/>", DOMAIN)
        kinds = [child[0] for child in stage.ask(asker, "<time xmlns='urn:xmpp:time'/>", DOMAIN)[3]]
        return version, kinds

    both(script)


# -- what an account keeps ----------------------------------------------------------------------------------


def test_a_roster_is_changed_pushed_and_read(both: Both) -> None:
    """RFC 6121 section 2."""

    def script(stage: Stage) -> list[Any]:
        one, other = stage.enter("A", "one"), stage.enter("A", "other")
        item = f"<query xmlns='{ROSTER}'><item jid='friend@{DOMAIN}' name='Friend'><group>Few</group></item></query>"
        gone = f"<query xmlns='{ROSTER}'><item jid='friend@{DOMAIN}' subscription='remove'/></query>"
        told = []
        for change in (item, gone):
            told += [stage.ask(one, change, kind="set"), stage.heard(one), stage.heard(other)]
            told.append(stage.ask(other, f"<query xmlns='{ROSTER}'/>"))
            other.told.clear()
        return told

    both(script)


def test_a_vcard_is_kept_and_shown(both: Both) -> None:
    """XEP-0054."""

    def script(stage: Stage) -> list[Any]:
        owner, reader = stage.enter("A"), stage.enter("B")
        stored = stage.ask(owner, "<vCard xmlns='vcard-temp'><FN>Ann</FN></vCard>", kind="set")
        return [
            stored,
            *(stage.ask(who, "<vCard xmlns='vcard-temp'/>", to) for who, to in ((owner, ""), (reader, "{A}"))),
        ]

    *_, shown = both(script)
    assert "Ann" in str(shown)


def test_private_data_is_kept(both: Both) -> None:
    """XEP-0049."""

    def script(stage: Stage) -> list[Any]:
        owner = stage.enter("A")
        data = "<query xmlns='jabber:iq:private'><mine xmlns='urn:example:mine'>{0}</mine></query>"
        return [stage.ask(owner, data.format("kept"), kind="set"), stage.ask(owner, data.format(""))]

    assert "kept" in str(both(script)[1])


def test_who_is_blocked_is_not_heard(both: Both) -> None:
    """XEP-0191."""

    def script(stage: Stage) -> list[Any]:
        blocker, blocked = stage.enter("A"), stage.enter("B")
        items = "<item jid='" + stage.address_of("B") + "'/>"
        told: list[Any] = [stage.ask(blocker, f"<block xmlns='urn:xmpp:blocking'>{items}</block>", kind="set")]
        told.append(stage.ask(blocker, "<blocklist xmlns='urn:xmpp:blocking'/>"))
        blocker.told.clear()
        stage.say(blocked, "<message to='{A}' id='b1' type='chat'><body>unheard</body></message>")
        stage.pause()
        told += [stage.heard(blocked), stage.heard(blocker)]
        told.append(stage.ask(blocker, f"<unblock xmlns='urn:xmpp:blocking'>{items}</unblock>", kind="set"))
        blocker.told.clear()
        stage.say(blocked, "<message to='{A}' id='b2' type='chat'><body>heard</body></message>")
        return [*told, stage.heard(blocker, "message")]

    both(script)


# -- messages (RFC 6121 section 8.5) ------------------------------------------------------------------------


def test_a_message_for_nobody_comes_back(both: Both) -> None:
    """RFC 6121 section 8.5.1."""

    def script(stage: Stage) -> Any:
        sender = stage.enter("A")
        stage.say(sender, f"<message to='nobody@{DOMAIN}' id='m1' type='chat'><body>anybody?</body></message>")
        return stage.heard(sender)

    [answer] = both(script)
    assert error_of(answer) == "service-unavailable"


def test_a_message_for_somebody_who_is_away_waits(both: Both) -> None:
    """RFC 6121 section 8.5.2.2, XEP-0160."""

    def script(stage: Stage) -> Any:
        sender = stage.enter("A")
        stage.say(sender, "<message to='{B}' id='m1' type='chat'><body>later</body></message>")
        told = [stage.heard(sender)]
        recipient = stage.knock("B")
        recipient.talker.wait_online()
        return [*told, stage.heard(recipient, "message")]

    assert "later" in str(both(script)[1])


def test_messages_find_the_resource_they_are_for(both: Both) -> None:
    """RFC 6121 section 8.5.3: by full address; of each kind; a resource that is not there; the bare address."""

    def script(stage: Stage) -> list[Any]:
        sender, desk, sofa = stage.enter("A"), stage.enter("B", "desk"), stage.enter("B", "sofa")
        told: list[Any] = []
        for to in ("{B}/desk", "{B}/nowhere", "{B}"):
            for kind in ("chat", "normal", "headline", "groupchat", "error"):
                stage.say(sender, f"<message to='{to}' id='{kind}' type='{kind}'><body>{to}</body></message>")
                if (to, kind) == ("{B}", "groupchat"):
                    stage.pause()
                told += [to, kind, stage.heard(sender), stage.heard(desk), stage.heard(sofa)]
        return told

    both(script)


def test_copies_of_what_is_said_reach_the_other_resource(both: Both) -> None:
    """XEP-0280."""

    def script(stage: Stage) -> list[Any]:
        sender, copy, desk, sofa = (stage.enter(*who) for who in (("A",), ("A", "copy"), ("B", "desk"), ("B", "sofa")))
        told: list[Any] = [stage.ask(each, CARBONS, kind="set") for each in (sender, copy, desk, sofa)]
        for each in (sender, copy, desk, sofa):
            each.told.clear()
        receipt = "<received xmlns='urn:xmpp:receipts' id='x'/>"
        for inside in ("<body>copied</body>", receipt, "<body>not</body><private xmlns='urn:xmpp:carbons:2'/>"):
            stage.say(sender, "<message to='{B}/desk' id='c1' type='chat'>" + inside + "</message>")
            told += [stage.heard(each) for each in (sender, copy, desk, sofa)]
        return told

    both(script)


# -- presence (RFC 6121 sections 3 and 4) -------------------------------------------------------------------


def test_a_subscription_is_asked_for_granted_and_ended(both: Both) -> None:
    """RFC 6121 sections 3.1 (asking, granting), 3.2 (cancelling), 3.3 (unsubscribing)."""

    def script(stage: Stage) -> list[Any]:
        user, contact = stage.enter("A"), stage.enter("B")
        told = []
        for who, kind, to in (
            (user, "subscribe", "{B}"), (contact, "subscribed", "{A}"), (user, "unsubscribe", "{B}"),
            (user, "subscribe", "{B}"), (contact, "subscribed", "{A}"), (contact, "unsubscribed", "{A}"),
        ):  # fmt: skip
            stage.say(who, f"<presence type='{kind}' to='{to}'/>")
            if kind in ("unsubscribe", "unsubscribed"):
                stage.pause()
            told += [kind, stage.heard(user), stage.heard(contact)]
        for who, to in ((user, "{B}"), (contact, "{A}")):
            gone = f"<query xmlns='{ROSTER}'><item jid='{to}' subscription='remove'/></query>"
            told.append(stage.ask(who, gone, kind="set"))
        return told

    both(script)


def test_contacts_are_told_who_comes_changes_and_goes(both: Both) -> None:
    """RFC 6121 sections 4.2 (initial), 4.4 (subsequent), 4.5 (unavailable)."""

    def script(stage: Stage) -> list[Any]:
        user, contact = stage.enter("A"), stage.enter("B")
        befriend(stage, user, contact)
        told = []
        stage.say(user, "<presence><show>away</show><status>out</status><priority>3</priority></presence>")
        told += [stage.heard(user), stage.heard(contact)]
        second = stage.enter("A", "second")
        told += [stage.heard(contact), stage.heard(user)]
        second.talker.leave()
        told += [stage.heard(contact), stage.heard(user)]
        stage.say(user, "<presence type='unavailable'><status>bye</status></presence>")
        told += [stage.heard(contact), stage.heard(user)]
        stage.say(user, "<presence/>")
        return [*told, stage.heard(contact), stage.heard(user)]

    both(script)


def test_somebody_who_vanishes_is_told_to_be_gone_to_contacts_and_to_whom_it_told_it_is_there(both: Both) -> None:
    """RFC 6121 sections 4.5.3 and 4.6.3 (directed presence)."""

    def script(stage: Stage) -> list[Any]:
        user, contact, stranger = stage.enter("A"), stage.enter("B"), stage.enter("C")
        befriend(stage, user, contact)
        stage.say(user, "<presence to='{C}'><status>psst</status></presence>")
        told = [stage.heard(stranger), stage.heard(contact)]
        user.talker.leave()
        return [*told, stage.heard(stranger), stage.heard(contact)]

    both(script)


# -- rooms (XEP-0045) ---------------------------------------------------------------------------------------


def test_a_room_is_made_entered_talked_in_and_left(both: Both) -> None:
    def script(stage: Stage) -> list[Any]:
        owner, guest = stage.enter("A"), stage.enter("B")
        room = f"answers{stage.address_of('A')[:4]}@rooms.{DOMAIN}"
        muc = "<x xmlns='http://jabber.org/protocol/muc'/>"
        form = "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query>"
        told: list[Any] = []
        stage.say(owner, f"<presence to='{room}/ann'>{muc}</presence>")
        told.append(stage.heard(owner))
        told.append(stage.ask(owner, form, room, "set"))
        owner.told.clear()
        steps = [
            (guest, f"<presence to='{room}/ann'>{muc}</presence>"),  # the nick is taken
            (guest, f"<presence to='{room}/bob'>{muc}</presence>"),
            (guest, f"<message to='{room}' id='g1' type='groupchat'><body>hi</body></message>"),
            (guest, f"<message to='{room}' id='g2' type='groupchat'><subject>mine</subject></message>"),
            (owner, f"<message to='{room}/bob' id='g3' type='chat'><body>psst</body></message>"),
            (guest, f"<presence to='{room}/bert'/>"),
            (owner, f"<iq to='{room}' type='set' id='kick'><query xmlns='http://jabber.org/protocol/muc#admin'>"
                    "<item nick='bert' role='none'><reason>out</reason></item></query></iq>"),
            (guest, f"<message to='{room}' id='g4' type='groupchat'><body>not in</body></message>"),
            (owner, f"<presence to='{room}/ann' type='unavailable'/>"),
        ]  # fmt: skip
        for who, line in steps:
            stage.say(who, line)
            told += [stage.heard(owner), stage.heard(guest)]
        return told

    both(script)
