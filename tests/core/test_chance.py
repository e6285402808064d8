"""Randomness: repeatable from a seed, unguessable otherwise."""

import pytest

from haproxy_voip.core.chance import BLOCK_BYTES, Chance


def everything(chance: Chance) -> list[object]:
    return [chance.token(), chance.bytes(32), chance.below(1000), chance.between(0.5, 0.8)]


def test_a_seed_gives_the_same_history() -> None:
    assert everything(Chance.seeded(7)) == everything(Chance.seeded(7))
    assert everything(Chance.seeded(7)) != everything(Chance.seeded(8))


def test_the_system_never_repeats_itself() -> None:
    tokens = [Chance.system().token() for _ in range(100)]
    chance = Chance.system()
    tokens += [chance.token() for _ in range(3 * BLOCK_BYTES // 8)]
    assert len(set(tokens)) == len(tokens)


@pytest.mark.parametrize("chance", [Chance.seeded(1), Chance.system()], ids=["seeded", "system"])
def test_a_token_has_64_bits_in_16_digits(chance: Chance) -> None:
    """RFC 3261 section 19.3 asks for 32 bits at least."""
    for _ in range(BLOCK_BYTES):
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
