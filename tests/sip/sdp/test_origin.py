"""haproxy_voip.sip.sdp.origin: one author for the life of a leg."""

from haproxy_voip.core.chance import Chance
from haproxy_voip.sip.sdp.origin import SESSION_ID_LIMIT, OriginKeeper


def test_the_version_grows_by_one_exactly_when_the_rest_differs() -> None:
    """RFC 3264 section 8."""
    keeper = OriginKeeper(77, "192.0.2.1")
    versions = [keeper.line(text).split()[2] for text in ("a", "a", "b", "a", "a")]
    assert versions == ["1", "1", "2", "3", "3"]


def test_id_and_address_stay() -> None:
    keeper = OriginKeeper(77, "192.0.2.1")
    assert keeper.line("a") == "o=- 77 1 IN IP4 192.0.2.1"
    assert keeper.line("b") == "o=- 77 2 IN IP4 192.0.2.1"


def test_the_family_is_that_of_our_address() -> None:
    assert OriginKeeper(1, "2001:db8::1").line("") == "o=- 1 1 IN IP6 2001:db8::1"


def test_each_leg_begins_with_an_id_of_its_own() -> None:
    chance = Chance.seeded(1)
    ids = [OriginKeeper.begin(chance, "192.0.2.1").session_id for _ in range(10)]
    assert len(set(ids)) == 10
    assert all(0 <= session_id < SESSION_ID_LIMIT for session_id in ids)
