"""XEP-0198 (version 1.6) between a client and the proxy. docs/CONFORMANCE.md has every section."""

from __future__ import annotations

import re

import pytest

from haproxy_voip.xmpp.management import WRAP
from tests.conformance.talker import HEADER, SASL, SM, Talker, auth, bind
from tests.proxy.chat.client import Client
from tests.proxy.chat.stage import Stage

ENABLE = f"<enable {SM} resume='true'/>"
REQUEST = f"<r {SM}/>"
_BODY = re.compile(rb"<body>(.*?)</body>")


def resume(name: str, h: object = 0) -> str:
    return f"<resume {SM} previd='{name}' h='{h}'/>"


def acknowledges(h: object) -> str:
    return f"<a {SM} h='{h}'/>"


def answered(h: int) -> bytes:
    return f"<a {SM} h='{h}'/>".encode()


def bodies(told: bytes) -> list[str]:
    return [one.decode() for one in _BODY.findall(told)]


def managed(stage: Stage, resource: str = "home") -> tuple[Talker, str]:
    """With a session that can be resumed, and what it can be resumed by."""
    carol = Talker.bound(stage, "carol", resource)
    found = re.search(rb"<enabled [^>]*\bid='([^']+)'", carol.says(ENABLE))
    assert found is not None, carol.said
    return carol, found[1].decode()


@pytest.fixture
def bob(pair: tuple[Stage, Client, Client]) -> Client:
    return pair[2]


# -- 2 and 3: offered and enabled -----------------------------------------------------------------------


def test_2_it_is_offered_to_whoever_has_logged_in_and_to_nobody_else(stage: Stage) -> None:
    talker = Talker.secured(stage)
    assert b"urn:xmpp:sm:3" not in talker.said
    assert b"<sm xmlns='urn:xmpp:sm:3'/>" in talker.says(auth("carol", stage.passwords["carol"]), HEADER)


def test_3_before_a_resource_is_bound_it_is_refused_and_binding_goes_on(stage: Stage) -> None:
    carol = Talker.logged_in(stage, "carol")
    assert b"<failed xmlns='urn:xmpp:sm:3'><unexpected-request " in carol.says(ENABLE)
    assert b"<jid>" in carol.says(bind("home"))


def test_3_and_before_the_login_it_ends_the_stream(stage: Stage) -> None:
    for words in (ENABLE, resume("any"), REQUEST):
        talker = Talker.secured(stage)
        talker.says(words)
        assert talker.condition == "not-authorized"


@pytest.mark.parametrize("words", [ENABLE, resume("any"), f"<resumed {SM} h='0' previd='x'/>", f"<failed {SM}/>"])
def test_3_once_enabled_nothing_of_the_kind_is_expected(stage: Stage, words: str) -> None:
    carol, _ = managed(stage)
    assert b"<failed xmlns='urn:xmpp:sm:3'><unexpected-request " in carol.says(words)
    assert carol.says(REQUEST) == answered(0) and not carol.ended


def test_3_the_name_and_the_time_for_a_resumption_are_told_where_one_is_wanted(stage: Stage) -> None:
    seconds = int(stage.chat.shared.xmpp.resume)
    told = Talker.bound(stage, "carol", "one").says(f"<enable {SM} resume='1' max='9999'/>")
    assert f" max='{seconds}'".encode() in told and b" resume='true'" in told and b" id='" in told
    assert Talker.bound(stage, "carol", "two").says(f"<enable {SM}/>") == b"<enabled xmlns='urn:xmpp:sm:3'/>"


def test_3_who_wanted_no_resumption_is_gone_with_its_connection(stage: Stage) -> None:
    carol = Talker.bound(stage, "carol")
    carol.says(f"<enable {SM}/>")
    carol.breaks_off()
    assert "carol@chat.test/home" not in stage.chat.shared.sessions.by_jid


# -- 4: acknowledgements --------------------------------------------------------------------------------


def test_4_counting_begins_with_enable_on_both_sides(stage: Stage, bob: Client) -> None:
    """What came and went before does not count, and neither does what is no stanza."""
    carol = Talker.bound(stage, "carol")
    carol.says("<presence/>", f"<iq type='get' id='1' to='{bob.jid}'><ping xmlns='urn:xmpp:ping'/></iq>")
    assert carol.says(ENABLE + REQUEST).endswith(answered(0))
    told = carol.says("<presence/>", REQUEST, f"<inactive xmlns='urn:xmpp:csi:0'/>{acknowledges(0)} ", REQUEST)
    assert told.count(answered(1)) == 2 and not carol.ended


def test_4_every_request_is_answered_and_the_same_twice_is_no_mistake(stage: Stage) -> None:
    carol, _ = managed(stage)
    carol.says("<presence/>")
    assert carol.says(REQUEST * 3).count(answered(1)) == 3
    carol.says(acknowledges(1), acknowledges(1))
    assert not carol.ended


def test_4_what_is_sent_is_asked_for(stage: Stage, bob: Client) -> None:
    carol, _ = managed(stage)
    bob.say("carol@chat.test/home", "have you got it?")
    assert carol.said.endswith(REQUEST.encode())


@pytest.mark.parametrize("h", [1, 2, WRAP - 1])
def test_4_more_than_was_sent_is_told_with_both_numbers(stage: Stage, h: int) -> None:
    """ "<undefined-condition/>" and "<handled-count-too-high/>"; an `h` that goes back is one that is too high."""
    carol, _ = managed(stage)
    carol.says(acknowledges(h))
    assert carol.condition == "undefined-condition" and carol.error is not None
    told = carol.error.in_namespace("urn:xmpp:sm:3")
    assert told is not None and (told.name, told.get("h"), told.get("send-count")) == (
        "handled-count-too-high", str(h), "0",
    )  # fmt: skip


def test_4_an_acknowledgement_does_not_go_back(stage: Stage, bob: Client) -> None:
    carol, _ = managed(stage)
    for text in "123":
        bob.say("carol@chat.test/home", text)
    carol.says(acknowledges(3))
    carol.says(acknowledges(2))
    assert carol.condition == "undefined-condition"


@pytest.mark.parametrize("h", ["", "-1", "x", "1.0", " 1", "0x1", "\u0663", str(WRAP), "9" * 10, "9" * 5_000])
def test_4_h_is_a_number_of_32_bits(stage: Stage, h: str) -> None:
    carol, _ = managed(stage)
    carol.says(acknowledges(h))
    assert carol.condition == "bad-format"


def test_4_counts_wrap_at_2_to_the_32(stage: Stage, bob: Client) -> None:
    carol, _ = managed(stage)
    traffic = stage.chat.shared.sessions.by_jid["carol@chat.test/home"].traffic
    assert traffic.received is not None and traffic.incoming.unacknowledged is not None
    traffic.received.count = traffic.received.handled = traffic.incoming.unacknowledged.acknowledged = WRAP - 1
    assert carol.says(REQUEST) == answered(WRAP - 1)
    assert answered(0) in carol.says("<presence/>", REQUEST)
    bob.say("carol@chat.test/home", "1")
    carol.says(acknowledges(3))  # three presences, and that
    assert not carol.ended and not traffic.incoming.pending()


# -- 5: resumption --------------------------------------------------------------------------------------


def test_5_both_sides_send_again_what_the_other_lacks_in_order_and_nothing_else(stage: Stage, bob: Client) -> None:
    carol, name = managed(stage)
    for text in ("1", "2", "3"):
        bob.say("carol@chat.test/home", text)
    carol.says(acknowledges(1), f"<message to='{bob.jid}' id='c1'><body>heard</body></message>")
    carol.breaks_off()
    bob.say("carol@chat.test/home", "4")
    again = Talker.logged_in(stage, "carol")
    told = again.says(resume(name, 2))
    assert told.startswith(f"<resumed {SM} h='1' previd='{name}'/>".encode())
    assert bodies(told) == ["3", "4"] and told.endswith(REQUEST.encode())
    again.says(acknowledges(4), f"<message to='{bob.jid}' id='c2'><body>too</body></message>")
    assert bob.said()[-2:] == ["heard", "too"] and again.says(REQUEST) == answered(2)


def test_5_a_session_may_be_resumed_again_and_again_by_the_same_name(stage: Stage, bob: Client) -> None:
    carol, name = managed(stage)
    for number in range(4):
        bob.say("carol@chat.test/home", str(number))
        carol.breaks_off()
        carol = Talker.logged_in(stage, "carol")
        assert bodies(carol.says(resume(name, number))) == [str(number)]
    assert b"<unexpected-request " in carol.says(ENABLE)


def test_5_an_old_connection_that_is_still_there_is_ended(stage: Stage) -> None:
    carol, name = managed(stage)
    again = Talker.logged_in(stage, "carol")
    assert again.says(resume(name)).startswith(b"<resumed ")
    assert carol.condition == "conflict" and not again.ended


def test_5_what_cannot_be_resumed_is_not_found_and_the_client_may_bind(stage: Stage) -> None:
    """No such session; one that was closed in peace; one that waited too long; somebody else's."""
    left, name_of_left = managed(stage, "left")
    left.says("</stream:stream>")
    late, name_of_late = managed(stage, "late")
    late.breaks_off()
    stage.run(stage.chat.shared.xmpp.resume + 1)
    alice = next(one for one in stage.clients.values() if one.name == "alice")
    for name in ("never", name_of_left, name_of_late, alice.resumable):
        carol = Talker.logged_in(stage, "carol")
        assert b"<failed xmlns='urn:xmpp:sm:3'><item-not-found " in carol.says(resume(str(name)))
        assert b"<jid>" in carol.says(bind("home")) and b"<enabled " in carol.says(ENABLE)
    assert not alice.ended


@pytest.mark.parametrize("words", [f"<resume {SM} h='0'/>", resume("x", ""), resume("x", -1), resume("x", WRAP)])
def test_5_a_resumption_that_makes_no_sense_is_a_bad_request(stage: Stage, words: str) -> None:
    carol = Talker.logged_in(stage, "carol")
    assert b"<failed xmlns='urn:xmpp:sm:3'><bad-request " in carol.says(words)
    assert b"<jid>" in carol.says(bind("home"))


@pytest.mark.parametrize("there", [True, False])
def test_5_who_resumes_with_more_than_was_sent_is_told_and_the_session_stays_whose_it_is(
    stage: Stage, bob: Client, there: bool
) -> None:
    """Section 4 holds for the `h` of a resumption too. The session used to be left without a client, for ever."""
    carol, name = managed(stage)
    if not there:
        carol.breaks_off()
    wrong = Talker.logged_in(stage, "carol")
    wrong.says(resume(name, 7))
    assert wrong.condition == "undefined-condition" and b"handled-count-too-high" in wrong.said
    bob.say("carol@chat.test/home", "still there?")
    if there:
        assert bodies(bytes(carol.said))[-1:] == ["still there?"]
    again = Talker.logged_in(stage, "carol")
    assert bodies(again.says(resume(name, 0))) == ["still there?"]


def test_5_nobody_resumes_without_proving_who_it_is(stage: Stage) -> None:
    carol, name = managed(stage)
    carol.breaks_off()
    stranger = Talker.secured(stage)
    stranger.says(f"<auth {SASL} mechanism='PLAIN'/>", resume(name))
    assert stranger.condition == "not-authorized"
    assert Talker.logged_in(stage, "carol").says(resume(name)).startswith(b"<resumed ")


# -- 7: the end -----------------------------------------------------------------------------------------


def test_7_a_stream_closed_in_peace_is_over_and_what_was_not_acknowledged_is_kept(stage: Stage, bob: Client) -> None:
    carol, _ = managed(stage)
    carol.says("<presence/>", acknowledges(1))
    bob.say("carol@chat.test/home", "unread")
    carol.says("</stream:stream>")
    stage.run(0.1)
    assert [b"unread" in raw for raw in stage.alpha.offline["carol@chat.test"]] == [True]


def test_5_resuming_works_while_the_server_changes(stage: Stage, bob: Client) -> None:
    """The client's side of it knows nothing of servers."""
    carol, name = managed(stage)
    carol.says("<presence/>", acknowledges(1))
    carol.breaks_off()
    bob.say("carol@chat.test/home", "before")
    stage.kill("alpha")
    stage.run(2.0)
    bob.say("carol@chat.test/home", "behind")
    told = Talker.logged_in(stage, "carol").says(resume(name, 1))
    assert told.startswith(f"<resumed {SM} h='1' ".encode()) and bodies(told) == ["before", "behind"]
