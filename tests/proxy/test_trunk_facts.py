"""What people read of carriers."""

from haproxy_voip.proxy.trunk_facts import TrunkRegistered, TrunkRegistrationFailed


def test_they_read_as_sentences() -> None:
    assert str(TrunkRegistered("carrier", "4930555", 600.0)) == "trunk carrier: registered as 4930555 for 600 s"
    assert str(TrunkRegistrationFailed("carrier", "4930555", "403 Forbidden", 42.34)) == (
        "trunk carrier: cannot register as 4930555: 403 Forbidden; trying again in 42.3 s"
    )
