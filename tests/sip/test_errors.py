from haproxy_voip.sip.errors import MAX_REASON, REASON_PHRASES, MessageError


def test_an_error_carries_what_to_answer() -> None:
    error = MessageError("no such scheme", 416)
    assert (error.status, error.phrase, error.reason) == (416, "Unsupported URI Scheme", "no such scheme")
    assert error.partial is None
    assert str(error) == "no such scheme"


def test_a_peers_mistake_is_a_bad_request_unless_said_otherwise() -> None:
    assert MessageError("what").phrase == "Bad Request"


def test_every_status_has_three_digits_and_a_phrase() -> None:
    assert all(100 <= status <= 699 and phrase for status, phrase in REASON_PHRASES.items())


def test_a_reason_that_quotes_much_is_cut() -> None:
    assert len(MessageError("x" * 60_000).reason) == MAX_REASON
