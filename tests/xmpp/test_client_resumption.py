"""Resuming an old session at a server where nothing is to be bound."""

from __future__ import annotations

import pytest

from haproxy_voip.xmpp.client_stream import Authenticated, ResumeFailed, State
from haproxy_voip.xmpp.management import Failed, Resume
from tests.xmpp.test_client_stream import (
    AFTER_LOGIN,
    BIND_OFFER,
    HEADER,
    KNOWN,
    KNOWN_FEATURES,
    OFFER,
    SUCCESS,
    Session,
    features,
)


@pytest.mark.parametrize("known", [True, False])
def test_nothing_is_bound_in_place_of_an_old_session_unless_that_was_wanted(known: bool) -> None:
    before = {"known_mechanisms": KNOWN, "known_features": KNOWN_FEATURES} if known else {}
    session = Session.of(resume=Resume("some-id", 7), bind=False, **before)
    session.hears(HEADER + features(OFFER))
    session.hears(SUCCESS)
    session.hears(AFTER_LOGIN)
    assert session.stream.state is State.RESUMING
    assert session.hears(Failed("item-not-found").encode()) == b""
    assert session.told[-2:] == [ResumeFailed(Failed("item-not-found")), Authenticated("PLAIN", None)]
    assert session.stream.state is State.AUTHENTICATED
    assert b"<bind " in session.does(session.stream.bind(100.0))


def test_nothing_is_bound_either_where_an_old_session_cannot_be_asked_for() -> None:
    session = Session.of(resume=Resume("some-id", 7), bind=False)
    session.hears(HEADER + features(OFFER))
    session.hears(SUCCESS)
    assert session.hears(HEADER + features(BIND_OFFER)) == b""
    assert session.stream.state is State.AUTHENTICATED
