"""What people are told of a backend that guards nothing."""

from haproxy_voip.proxy.guard_facts import BackendUnguarded


def test_it_says_what_must_change() -> None:
    text = str(BackendUnguarded("alpha", "INVITE"))
    assert text.startswith("alpha takes INVITE without a password")
    assert "must challenge" in text
