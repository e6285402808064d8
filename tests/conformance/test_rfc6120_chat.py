"""RFC 6120 at the proxy as a whole: what the tests of its parts leave open. docs/CONFORMANCE.md has every section."""

from __future__ import annotations

import pytest

from haproxy_voip.xmpp.server_sasl import MAX_RETRIES
from tests.conformance.talker import (
    CLOSING,
    HEADER,
    PROCEED,
    SASL,
    SM,
    STARTTLS,
    STREAMS,
    Talker,
    auth,
    bind,
    stage_with_tls,
)
from tests.proxy.chat.client import Client
from tests.proxy.chat.server import DOMAIN
from tests.proxy.chat.stage import Stage

PREFIXED = HEADER.replace("xmlns='jabber:client'", "xmlns:c='jabber:client'")
STREAMS_FIRST = (
    f"<stream to='{DOMAIN}' version='1.0' xmlns='{STREAMS}' xmlns:c='jabber:client'"
    " xmlns:s='urn:ietf:params:xml:ns:xmpp-sasl' xmlns:t='urn:ietf:params:xml:ns:xmpp-tls'>"
)


# -- 4: streams -----------------------------------------------------------------------------------------


def test_4_3_3_and_4_7_3_every_stream_on_a_connection_has_an_id_of_its_own(stage: Stage) -> None:
    """Section 4.7.3: "unique within the receiving application", and "unpredictable and nonrepeating"."""
    ids = [one for _ in range(3) for one in Talker.bound(stage, "carol").stream_ids]
    assert len(ids) == 9 and len(set(ids)) == 9
    assert all(len(one) >= 16 for one in ids)


def test_4_4_what_is_sent_before_the_closing_tag_is_delivered_and_what_comes_behind_is_not(
    stage: Stage, pair: tuple[Stage, Client, Client]
) -> None:
    _, _, bob = pair
    carol = Talker.bound(stage, "carol")
    message = f"<message to='{bob.jid}' id='{{0}}'><body>{{0}}</body></message>"
    told = carol.says(message.format("before") + "</stream:stream>" + message.format("behind"))
    assert bob.said()[-1:] == ["before"] and told == CLOSING and carol.ended
    assert carol.says(message.format("later")) == b""


def test_4_4_closing_before_the_login_is_answered_too(stage: Stage) -> None:
    for talker in (Talker(stage), Talker.secured(stage), Talker.logged_in(stage, "carol")):
        talker.says(HEADER) if not talker.said else None
        assert talker.says(CLOSING) == CLOSING and talker.ended


def test_4_6_1_white_space_keeps_a_connection_alive_and_is_no_stanza(
    stage: Stage, pair: tuple[Stage, Client, Client]
) -> None:
    carol = Talker.bound(stage, "carol")
    carol.says(f"<enable {SM}/>")
    handled = len(stage.alpha.handled)
    assert carol.says(" ", "\n", " \t\r\n", f"<r {SM}/>") == b"<a xmlns='urn:xmpp:sm:3' h='0'/>"
    assert len(stage.alpha.handled) == handled and not carol.ended


def test_4_6_1_white_space_before_the_header_and_between_the_steps_is_passed_over(stage: Stage) -> None:
    talker = Talker(stage)
    talker.says("\n ", HEADER, "\n", f"\n{STARTTLS}", HEADER, "\n", auth("carol", stage.passwords["carol"]))
    talker.says("\n", HEADER, " ")
    assert b"<jid>carol@chat.test/x</jid>" in talker.says(f"{bind('x')} ")


def test_4_7_1_the_answer_says_for_whom_it_is_and_whose(stage: Stage) -> None:
    """'to' only where the client said who it is."""
    named, unnamed = Talker(stage), Talker(stage)
    told = named.says(HEADER.replace("<stream:stream ", f"<stream:stream from='carol@{DOMAIN}' "))
    assert f" from='{DOMAIN}'".encode() in told and f" to='carol@{DOMAIN}'".encode() in told
    assert b" to='" not in unnamed.says(HEADER)


def test_4_7_4_the_language_of_the_stream_is_told_to_the_server(stage: Stage) -> None:
    """ "The receiving entity MUST remember that value as the default xml:lang for all stanzas" of the stream."""
    spoken = [link.stream.lang for link in stage.alpha.links.values()]
    Talker.bound(stage, "carol", header=HEADER.replace(" version", " xml:lang='cy' version"))
    assert [link.stream.lang for link in stage.alpha.links.values()][len(spoken) :] == ["cy"]


@pytest.mark.parametrize("version", ["1.1", "1.10", "2.0"])
def test_4_7_5_a_higher_version_is_answered_with_ours(stage: Stage, version: str) -> None:
    told = Talker(stage).says(HEADER.replace("version='1.0'", f"version='{version}'"))
    assert b" version='1.0'" in told.split(b"?>")[1] and b"<stream:features>" in told


def test_4_8_content_with_a_prefix_is_content_and_reaches_others_in_their_own_words(
    stage: Stage, pair: tuple[Stage, Client, Client]
) -> None:
    """Sections 4.8.3 and 4.8.5: both forms of declaring the content namespace are to be accepted."""
    _, _, bob = pair
    carol = Talker(stage)
    carol.says(PREFIXED, STARTTLS, PREFIXED, auth("carol", stage.passwords["carol"]), PREFIXED)
    named = bind("home").replace("<iq", "<c:iq").replace("</iq", "</c:iq")
    assert b"<jid>carol@chat.test/home</jid>" in carol.says(named)
    carol.says(f"<c:message to='{bob.jid}' id='p1'><c:body>with a prefix</c:body></c:message>")
    heard = bob.take("message")[-1]
    assert heard.element().find("body") is not None and heard.element().find("body").text == "with a prefix"  # type: ignore[union-attr]


def test_4_8_1_streams_may_be_the_default_namespace(stage: Stage) -> None:
    talker = Talker(stage)
    talker.says(STREAMS_FIRST, "<t:starttls/>", STREAMS_FIRST)
    told = talker.says(auth("carol", stage.passwords["carol"]).replace("auth", "s:auth").replace(f" {SASL}", ""))
    assert b"<success" in told
    talker.says(STREAMS_FIRST)
    assert talker.says("</stream>") == CLOSING and talker.ended


def test_4_9_1_2_an_error_comes_behind_a_header_of_ours_and_before_the_closing_tag(stage: Stage) -> None:
    talker = Talker(stage)
    told = talker.says("<stream:stream><oops></stream:stream>")
    assert told.index(b"<stream:stream ") < told.index(b"<stream:error>") and told.endswith(CLOSING)
    assert talker.error is not None


def test_4_9_3_texts_that_quote_the_peer_are_cut(stage: Stage) -> None:
    """An error is no larger than what caused it, and a name of any length is not sent back."""
    talker = Talker.bound(stage, "carol")
    told = talker.says(f"<message from='{'a' * 100_000}'/>")
    assert talker.condition == "invalid-from" and len(told) < 1_000


# -- 5: STARTTLS ----------------------------------------------------------------------------------------


def test_5_3_1_nothing_but_tls_is_offered_where_it_is_required(stage: Stage) -> None:
    told = Talker(stage).says(HEADER)
    assert b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>" in told
    assert b"<mechanism" not in told and b"<bind" not in told and b"<sm " not in told


def test_5_3_4_and_5_4_3_3_once_secured_tls_is_not_offered_again(stage: Stage) -> None:
    talker = Talker.secured(stage)
    assert talker.said.count(b"<starttls") == 1
    assert talker.says(STARTTLS) == b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>" + CLOSING and talker.ended


def test_5_4_2_2_after_the_login_it_is_no_place_for_it_either(stage: Stage) -> None:
    for talker, condition in (
        (Talker.logged_in(stage, "carol"), "not-authorized"),
        (Talker.bound(stage, "carol", "other"), "unsupported-stanza-type"),
    ):
        talker.says(STARTTLS)
        assert talker.condition == condition


def test_5_4_3_3_words_put_in_behind_starttls_are_not_heard(stage: Stage) -> None:
    """Whoever sits in between cannot speak first on the secured stream."""
    talker = Talker(stage)
    talker.says(HEADER)
    injected = HEADER + auth("carol", stage.passwords["carol"]) + HEADER + bind("injected")
    assert talker.says(STARTTLS + injected) == PROCEED
    assert b"<success" not in talker.says(HEADER)
    assert f"carol@{DOMAIN}/injected" not in stage.alpha.sessions


# -- 6: SASL --------------------------------------------------------------------------------------------


def test_6_3_3_mechanisms_are_offered_best_first_and_none_after_the_login(stage: Stage) -> None:
    talker = Talker.secured(stage)
    order = [talker.said.index(f"<mechanism>{name}<".encode()) for name in ("SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN")]
    assert order == sorted(order)
    before = len(talker.said)
    talker.says(auth("carol", stage.passwords["carol"]), HEADER)
    assert b"<mechanism>" not in talker.said[before:]


def test_6_3_4_credentials_before_tls_are_refused_unread(stage: Stage) -> None:
    talker = Talker(stage)
    talker.says(HEADER)
    assert b"<encryption-required/>" in talker.says(auth("carol", stage.passwords["carol"]))
    assert not talker.ended


def judged_by_backends() -> Stage:
    """Nobody is in the users' file: passwords are passed on."""
    return Stage(stage_with_tls().config, users=())


@pytest.mark.parametrize("authzid", ["", f"carol@{DOMAIN}", "Carol@CHAT.test"])
def test_6_3_8_who_acts_as_itself_logs_in_wherever_the_password_is_judged(authzid: str) -> None:
    for stage in (stage_with_tls(), judged_by_backends()):
        assert b"<success" in Talker.secured(stage).says(auth("carol", stage.passwords["carol"], authzid))


@pytest.mark.parametrize("authzid", [f"alice@{DOMAIN}", "carol@other.test", "carol", f"carol@{DOMAIN}/home"])
def test_6_3_8_who_acts_as_another_is_refused_and_no_backend_hears_of_it(authzid: str) -> None:
    """Section 6.5.6. The answer is the same whether the password is right."""
    for stage in (stage_with_tls(), judged_by_backends()):
        for password in (stage.passwords["carol"], "guess"):
            told = Talker.secured(stage).says(auth("carol", password, authzid))
            assert told.startswith(f"<failure {SASL}><invalid-authzid/>".encode()), told
        assert not any(server.links for server in stage.servers.values()) and not stage.chat.shared.sessions.all


@pytest.mark.parametrize(
    ("attempt", "condition"),
    [
        pytest.param(f"<abort {SASL}/>", "aborted", id="6.5.1"),
        pytest.param(f"<auth {SASL} mechanism='PLAIN'>!</auth>", "incorrect-encoding", id="6.5.5"),
        pytest.param(auth("carol", "secret of carol", "alice@chat.test"), "invalid-authzid", id="6.5.6"),
        pytest.param(f"<auth {SASL} mechanism='DIGEST-MD5'/>", "invalid-mechanism", id="6.5.7 unknown"),
        pytest.param(f"<auth {SASL}>AA==</auth>", "invalid-mechanism", id="6.5.7 none"),
        pytest.param(f"<auth {SASL} mechanism='SCRAM-SHA-256-PLUS'/>", "invalid-mechanism", id="6.5.7 not here"),
        pytest.param(f"<auth {SASL} mechanism='PLAIN'>=</auth>", "malformed-request", id="6.5.8 empty"),
        pytest.param(f"<response {SASL}>AA==</response>", "malformed-request", id="6.5.8 out of place"),
        pytest.param(auth("carol", "guess"), "not-authorized", id="6.5.10"),
        pytest.param(auth("nobody", "guess"), "not-authorized", id="6.5.10 nobody"),
    ],
)
def test_6_5_a_failed_attempt_is_told_why_and_another_may_follow(stage: Stage, attempt: str, condition: str) -> None:
    talker = Talker.secured(stage)
    told = talker.says(attempt)
    assert told.startswith(f"<failure {SASL}><{condition}/>".encode()), told
    assert b"<success" in talker.says(auth("carol", stage.passwords["carol"]))


def test_6_4_4_an_exchange_that_is_given_up_may_be_begun_anew(stage: Stage) -> None:
    talker = Talker.secured(stage)
    assert b"<challenge" in talker.says(f"<auth {SASL} mechanism='SCRAM-SHA-256'>biwsbj1jYXJvbCxyPW5vbmNl</auth>")
    assert b"<aborted/>" in talker.says(f"<abort {SASL}/>")
    assert b"<success" in talker.says(auth("carol", stage.passwords["carol"]))


def test_6_4_5_after_five_retries_the_stream_ends(stage: Stage) -> None:
    talker = Talker.secured(stage)
    for attempt in range(MAX_RETRIES):
        assert b"<failure" in talker.says(auth("carol", f"guess {attempt}"))
    talker.says(auth("carol", "one more"))
    assert talker.condition == "policy-violation"


def test_6_4_6_behind_success_a_new_stream_begins_and_nothing_else(stage: Stage) -> None:
    talker = Talker.secured(stage)
    talker.says(auth("carol", stage.passwords["carol"]), f"<message to='alice@{DOMAIN}'/>")
    assert talker.error is not None


def test_6_4_6_nobody_logs_in_twice(stage: Stage) -> None:
    for talker in (Talker.logged_in(stage, "carol"), Talker.bound(stage, "carol", "other")):
        assert b"<success" not in talker.says(auth("dave", stage.passwords["dave"])) and talker.error is not None


# -- 7: resource binding --------------------------------------------------------------------------------


def test_7_1_a_resource_is_bound_before_anything_else(stage: Stage) -> None:
    for early in ("<presence/>", f"<message to='alice@{DOMAIN}'/>", f"<enable {SM}/><presence/>"):
        talker = Talker.logged_in(stage, "carol")
        talker.says(early)
        assert talker.condition == "not-authorized"


def test_7_6_1_resources_made_for_clients_differ(stage: Stage) -> None:
    one, other = (Talker.bound(stage, "carol", "").said.rpartition(b"<jid>")[2] for _ in range(2))
    assert one != other


def test_7_7_2_1_a_resource_that_cannot_be_one_is_a_bad_request(stage: Stage) -> None:
    """Behind it another may be asked for (section 7.7.3)."""
    talker = Talker.logged_in(stage, "carol")
    for wrong in ("\u202e", "x" * 1_024):
        told = talker.says(bind(wrong))
        assert b" id='bind'" in told and b" type='error'" in told and b"<bad-request " in told
    assert b"<jid>carol@chat.test/right</jid>" in talker.says(bind("right"))


def test_7_7_2_2_the_newer_of_two_with_one_resource_wins_however_it_is_written(stage: Stage) -> None:
    first = Talker.bound(stage, "carol", "de sk")
    second = Talker.bound(stage, "carol", "de\u00a0sk")  # the same once prepared (RFC 7622 section 3.4)
    assert first.condition == "conflict" and not second.ended


# -- 8: stanzas -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["message", "presence", "iq"])
@pytest.mark.parametrize("sender", ["alice@chat.test/home", "carol@chat.test/other", "chat.test", "", "@@"])
def test_8_1_2_1_no_kind_of_stanza_is_taken_in_another_name(stage: Stage, name: str, sender: str) -> None:
    talker = Talker.bound(stage, "carol")
    talker.says(f"<{name} from='{sender}' to='alice@chat.test' type='error' id='1'/>")
    assert talker.condition == "invalid-from"


def test_8_1_2_1_its_own_name_may_be_written_in_any_way_that_is_the_same(
    stage: Stage, pair: tuple[Stage, Client, Client]
) -> None:
    _, _, bob = pair
    carol = Talker.bound(stage, "carol")
    for number, sender in enumerate((f"CAROL@{DOMAIN}/home", f"carol@{DOMAIN.upper()}", f"carol@{DOMAIN}/home")):
        carol.says(f"<message from='{sender}' to='{bob.jid}' id='s{number}'><body>{number}</body></message>")
    assert bob.said()[-3:] == ["0", "1", "2"]
    assert {one.from_ for one in bob.take("message")[-3:]} == {f"carol@{DOMAIN}/home"}


def test_8_4_what_the_proxy_does_not_know_is_the_servers_to_answer(stage: Stage) -> None:
    talker = Talker.bound(stage, "carol")
    told = talker.says("<iq type='get' id='q' to='alice@chat.test/nowhere'><query xmlns='urn:example'/></iq>")
    assert b"id='q'" in told and b"<service-unavailable " in told


# -- 11 and 13: what is no XMPP --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "condition"),
    [
        pytest.param("<!-- -->", "restricted-xml", id="11.1 comment"),
        pytest.param("<?target data?>", "restricted-xml", id="11.1 instruction"),
        pytest.param("<!DOCTYPE a><a/>", "not-well-formed", id="11.3 DOCTYPE, which XML has only at the beginning"),
        pytest.param("<message><body>&lol;</body></message>", "restricted-xml", id="11.1 entity"),
        pytest.param("<message><body></message>", "not-well-formed", id="11.3"),
        pytest.param("<message a:b='c'/>", "not-well-formed", id="11.3 prefix of no namespace"),
        pytest.param("<message><body>\x00</body></message>", "not-well-formed", id="XML 2.2 NUL"),
        pytest.param("<message><body>&#0;</body></message>", "not-well-formed", id="XML 2.2 NUL as reference"),
        pytest.param("<message><body>\ufffe</body></message>", "not-well-formed", id="XML 2.2 no character"),
        pytest.param(b"<message><body>\xed\xa0\x80</body></message>", "unsupported-encoding", id="11.6 surrogate"),
        pytest.param(b"<message><body>\xc0\xaf</body></message>", "unsupported-encoding", id="11.6 overlong"),
        pytest.param("<message/>".encode("utf-16"), "unsupported-encoding", id="11.6 UTF-16"),
        pytest.param(f"<message>{'<a>' * 65}", "policy-violation", id="13.12 depth"),
    ],
)
def test_11_and_13_12_what_is_no_xmpp_ends_the_stream_before_and_after_the_login(
    stage: Stage, words: str | bytes, condition: str
) -> None:
    for talker in (Talker.secured(stage), Talker.logged_in(stage, "carol"), Talker.bound(stage, "carol", "other")):
        talker.says(words)
        assert talker.condition == condition
