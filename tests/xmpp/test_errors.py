"""Conditions (RFC 6120 sections 4.9.3, 6.5, 8.3.3)."""

from haproxy_voip.xmpp.errors import (
    MAX_TEXT,
    USUAL_TYPE,
    ErrorType,
    SaslCondition,
    SaslFailure,
    StanzaCondition,
    StanzaError,
    StreamCondition,
    StreamError,
)


def test_every_stanza_condition_has_its_usual_type() -> None:
    assert set(USUAL_TYPE) == set(StanzaCondition)


def test_an_error_has_the_usual_type_unless_it_says_otherwise() -> None:
    assert StanzaError(StanzaCondition.RECIPIENT_UNAVAILABLE).effective_type is ErrorType.WAIT
    assert StanzaError(StanzaCondition.CONFLICT, ErrorType.MODIFY).effective_type is ErrorType.MODIFY


def test_texts_that_quote_a_peer_are_cut() -> None:
    assert len(StreamError(StreamCondition.BAD_FORMAT, "x" * 10_000).text) == MAX_TEXT
    assert len(SaslFailure(SaslCondition.NOT_AUTHORIZED, "x" * 10_000).text) == MAX_TEXT


def test_errors_read_well_in_a_log() -> None:
    assert str(StreamError(StreamCondition.HOST_UNKNOWN, "x.example")) == "host-unknown: x.example"
    assert str(StreamError(StreamCondition.RESET)) == "reset"
    assert str(SaslFailure(SaslCondition.ABORTED)) == "aborted"
