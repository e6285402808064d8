"""Noise for who would hear nothing."""

import math

import pytest

from haproxy_voip.rtp.comfort_noise import LIMIT_SECONDS, MOST_AT_ONCE, TABLES, ComfortNoise
from haproxy_voip.rtp.flow import PayloadTypes
from haproxy_voip.rtp.g711 import A_LAW, MU_LAW, sample

MU: PayloadTypes = ((0, "pcmu/8000"), (101, "telephone-event/8000"))
A: PayloadTypes = ((101, "telephone-event/8000"), (8, "pcma/8000"), (0, "pcmu/8000"))


@pytest.mark.parametrize(("types", "law", "number"), [(MU, MU_LAW, 0), (A, A_LAW, 8)])
def test_it_is_faint_has_no_offset_and_comes_in_the_preferred_law(types, law, number):
    noise = ComfortNoise.begin(types, 1.0)
    assert noise is not None and noise.payload_type == number
    values = [sample(law, code) for turn in range(50) for code in noise.due(1.0 + 0.02 * turn)[0]]
    assert len(values) == 50 * 160
    level = 20 * math.log10(math.sqrt(sum(value**2 for value in values) / len(values)) / 32768)
    assert -70 < level < -60  # dBov
    assert abs(sum(values) / len(values)) < 2


def test_no_two_packets_are_alike():
    noise = ComfortNoise.begin(MU, 0.0)
    assert noise is not None
    packets = [noise.due(0.02 * turn)[0] for turn in range(1000)]
    assert len(set(packets)) == 1000


def test_other_codecs_get_rfc_3389_where_it_was_agreed_and_else_nothing():
    noise = ComfortNoise.begin(((9, "g722/8000"), (13, "cn/8000")), 0.0)
    assert noise is not None
    assert (noise.payload_type, noise.due(0.0)) == (13, [b"\x42"])
    assert ComfortNoise.begin(((9, "g722/8000"),), 0.0) is None
    assert ComfortNoise.begin((), 0.0) is None


def test_one_packet_is_due_every_20_ms_whenever_it_is_asked():
    noise = ComfortNoise.begin(MU, 0.0)
    assert noise is not None
    assert [len(noise.due(0.01 * turn)) for turn in range(6)] == [1, 0, 1, 0, 1, 0]


def test_after_a_pause_there_is_no_burst_and_after_a_while_no_more_noise():
    noise = ComfortNoise.begin(MU, 0.0)
    assert noise is not None
    assert len(noise.due(2.0)) == MOST_AT_ONCE
    assert noise.due(2.001) == []
    assert noise.due(LIMIT_SECONDS) == []


def test_the_tables_are_no_silence():
    assert all(len(set(table)) > 3 for table in TABLES.values())
