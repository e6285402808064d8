"""A-law and mu-law as ITU-T G.711 relates them."""

import pytest

from haproxy_voip.rtp.g711 import A_LAW, A_LEVELS, A_TO_MU, ALIKE, MU_LAW, MU_LEVELS, MU_TO_A, encoded, sample

EVERY = bytes(range(256))
DECODED_A_TO_MU = bytes(encoded(MU_LAW, sample(A_LAW, byte)) for byte in EVERY)
DECODED_MU_TO_A = bytes(encoded(A_LAW, sample(MU_LAW, byte)) for byte in EVERY)
# As Asterisk 16 does it; tests/interop/test_g711.py asks it.
ASTERISK_MU_TO_A = bytes(encoded(A_LAW, sample(MU_LAW, byte) | 7) for byte in EVERY)
ASTERISK_A_TO_MU = bytes(encoded(MU_LAW, sample(A_LAW, byte) | 3) for byte in EVERY)


def test_the_tables_hold_every_level_once():
    assert len(A_LEVELS) == len(MU_LEVELS) == 128
    assert sorted(A_LEVELS) == list(A_LEVELS) and sorted(MU_LEVELS) == list(MU_LEVELS)


@pytest.mark.parametrize(
    ("a_law", "mu_law"),
    [
        # Table 4, number of the decoder output value in A-law, then in mu-law, here from 0.
        *((level, 2 * level + 1) for level in range(8)),
        *((level, level + 8) for level in range(8, 24)),
        (24, 32), (25, 32), (26, 33), (30, 35), (31, 35), (32, 36), (43, 47),
        (44, 48), (45, 48), (46, 49), (47, 49), (48, 50), (61, 63), (62, 64), (63, 64), (64, 65),
        (78, 79), (79, 80), (80, 80), (81, 81), (127, 127),
    ],
)  # fmt: skip
def test_a_law_to_mu_law_is_table_4(a_law: int, mu_law: int):
    assert A_TO_MU[0xD5 ^ a_law] == 0xFF ^ mu_law
    assert A_TO_MU[0x55 ^ a_law] == 0x7F ^ mu_law


@pytest.mark.parametrize(
    ("mu_law", "a_law"),
    [
        (0, 0), (1, 0), (2, 1), (14, 7), (15, 7), (16, 8), (32, 24), (33, 26), (34, 28), (35, 30), (36, 32), (47, 43),
        (48, 45), (49, 47), (63, 61), (64, 63), (79, 78), (80, 79), (81, 81), (82, 82), (127, 127),
    ],
)  # fmt: skip
def test_mu_law_to_a_law_is_table_3(mu_law: int, a_law: int):
    assert MU_TO_A[0xFF ^ mu_law] == 0xD5 ^ a_law
    assert MU_TO_A[0x7F ^ mu_law] == 0x55 ^ a_law


def test_known_samples():
    assert [sample(MU_LAW, code) for code in (0xFF, 0x7F, 0x80, 0x00, 0xFE, 0xEF)] == [0, 0, 32124, -32124, 8, 132]
    assert [sample(A_LAW, code) for code in (0xD5, 0x55, 0xAA, 0x2A, 0xD4, 0xC5)] == [8, -8, 32256, -32256, 24, 264]


@pytest.mark.parametrize(("law", "table", "other"), [(A_LAW, A_TO_MU, MU_LAW), (MU_LAW, MU_TO_A, A_LAW)])
def test_a_converted_value_is_off_by_one_step_at_most_and_keeps_its_sign(law, table, other):
    for code in range(256):
        before, after = sample(law, code), sample(other, table[code])
        assert abs(before - after) <= max(16, abs(before) / 24)
        assert before * after >= 0


def test_going_there_and_back_loses_no_more_than_going_once():
    """Section 3: the conversions are chosen so that a second pair of them changes nothing more."""
    assert sum(a != b for a, b in zip(EVERY.translate(A_TO_MU).translate(MU_TO_A), EVERY, strict=True)) == 16
    for there, back in ((A_TO_MU, MU_TO_A), (MU_TO_A, A_TO_MU)):
        once = EVERY.translate(there)
        twice = once.translate(back).translate(there)
        assert once.translate(back) == twice.translate(back)


@pytest.mark.parametrize("law", [A_LAW, MU_LAW])
def test_a_byte_is_decoded_to_a_value_that_is_encoded_as_that_byte(law):
    changed = [byte for byte in EVERY if encoded(law, sample(law, byte)) != byte]
    assert changed == ([] if law == A_LAW else [0x7F])  # mu-law has a zero below zero too


@pytest.mark.parametrize("law", [A_LAW, MU_LAW])
def test_a_value_is_off_by_half_a_step_at_most_when_encoded_and_decoded(law):
    for value in range(-32768, 32768, 7):
        assert abs(sample(law, encoded(law, value)) - value) <= abs(value) / 32 + 8, value


def test_the_ways_to_convert_differ_so_one_table_could_not_undo_them():
    assert sum(a != b for a, b in zip(DECODED_A_TO_MU, A_TO_MU, strict=True)) == 32
    assert sum(a != b for a, b in zip(DECODED_MU_TO_A, MU_TO_A, strict=True)) == 37
    assert sum(a != b for a, b in zip(DECODED_MU_TO_A, ASTERISK_MU_TO_A, strict=True)) == 7
    assert DECODED_A_TO_MU == ASTERISK_A_TO_MU


@pytest.mark.parametrize("table", [A_TO_MU, DECODED_A_TO_MU, ASTERISK_A_TO_MU])
def test_what_an_a_law_byte_becomes_is_alike(table):
    assert EVERY.translate(ALIKE[A_LAW]) == EVERY.translate(table).translate(ALIKE[MU_LAW])


@pytest.mark.parametrize("table", [MU_TO_A, DECODED_MU_TO_A, ASTERISK_MU_TO_A])
def test_what_a_mu_law_byte_becomes_is_alike(table):
    assert EVERY.translate(ALIKE[MU_LAW]) == EVERY.translate(table).translate(ALIKE[A_LAW])


def test_what_is_alike_sounds_alike_and_little_else_is():
    """Were all alike, or half of them, everybody would seem to say the same."""
    groups: dict[int, list[int]] = {}
    for law in (A_LAW, MU_LAW):
        for byte in EVERY:
            groups.setdefault(ALIKE[law][byte], []).append(sample(law, byte))
    wide = [(min(group), max(group)) for group in groups.values() if len(group) > 5]
    assert len(groups) == 200
    assert sorted(wide) == [(-8448, -4032), (-120, 8), (4032, 8448)]
    assert all(max(group) - min(group) <= max(32, max(map(abs, group)) / 12) for group in groups.values()
               if (min(group), max(group)) not in wide)  # fmt: skip


@pytest.mark.parametrize("table", [A_TO_MU, DECODED_A_TO_MU, ASTERISK_A_TO_MU])
def test_the_top_bit_stays_from_a_law_to_mu_law(table):
    assert all(before & 0x80 == after & 0x80 for before, after in enumerate(table))


@pytest.mark.parametrize(("table", "changed"), [(MU_TO_A, []), (DECODED_MU_TO_A, [0x7F]), (ASTERISK_MU_TO_A, [0x7F])])
def test_the_top_bit_stays_from_mu_law_to_a_law_but_for_the_zero_below_zero(table, changed):
    assert [before for before, after in enumerate(table) if before & 0x80 != after & 0x80] == changed
