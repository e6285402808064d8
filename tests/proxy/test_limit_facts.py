"""What people read of limits."""

from haproxy_voip.proxy.limit_facts import CallLimitReached, OverloadBegan, OverloadEnded, SourceBanned


def test_they_read_as_sentences() -> None:
    assert str(CallLimitReached("1001", 2)) == "1001 has made 2 calls already: limits.calls_per_user"
    assert str(OverloadBegan(0.1234)) == "overloaded, 123 ms late: new requests are answered 503"
    assert str(OverloadEnded(7.25, 12)) == "no longer overloaded after 7.2 s, in which 12 requests were answered 503"
    assert str(SourceBanned("192.0.2.7", "wrong credentials", 60.0, 1)) == (
        "192.0.2.7 is banned for 60 s: wrong credentials"
    )
    assert str(SourceBanned("192.0.2.7", "wrong credentials", 120.0, 2)).endswith("wrong credentials, ban 2 in a row")
