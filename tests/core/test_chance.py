"""Randomness: repeatable from a seed, unguessable otherwise."""

from haproxy_voip.core.chance import Chance


def everything(chance: Chance) -> list[object]:
    return [chance.token(), chance.bytes(32), chance.below(1000), chance.between(0.5, 0.8)]


def test_a_seed_gives_the_same_history() -> None:
    assert everything(Chance.seeded(7)) == everything(Chance.seeded(7))
    assert everything(Chance.seeded(7)) != everything(Chance.seeded(8))


def test_the_system_never_repeats_itself() -> None:
    chance = Chance.system()
    assert len({chance.token() for _ in range(1000)}) == 1000


def test_a_token_has_64_bits_in_16_digits() -> None:
    """RFC 3261 section 19.3 asks for 32 bits at least."""
    chance = Chance.seeded(1)
    for _ in range(200):
        token = chance.token()
        assert len(token) == 16
        int(token, 16)


def test_bytes_are_as_many_as_asked_for() -> None:
    chance = Chance.seeded(1)
    assert [len(chance.bytes(count)) for count in (1, 16, 33)] == [1, 16, 33]


def test_numbers_stay_within_their_limits() -> None:
    chance = Chance.seeded(1)
    assert {chance.below(3) for _ in range(100)} == {0, 1, 2}
    assert all(0.5 <= chance.between(0.5, 0.8) <= 0.8 for _ in range(100))
