"""The E-model's figures, as G.107 and G.113 give them."""

import pytest

from haproxy_voip.rtp.quality import G711, G729, mos, rating


def test_a_perfect_call_is_as_good_as_g711_gets():
    assert mos(0.0, 0.0, 0.0) == pytest.approx(4.4, abs=0.05)


def test_one_percent_loss_costs_four_of_a_hundred():
    assert rating(0.0, 0.0, 0.0) - rating(0.01, 0.0, 0.0) == pytest.approx(95 / 26.1, abs=0.01)


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.2, 0.4])
def test_more_delay_loss_or_jitter_is_never_better(delay: float):
    better = mos(0.01, 0.005, delay)
    assert mos(0.02, 0.005, delay) < better
    assert mos(0.01, 0.010, delay) < better
    assert mos(0.01, 0.005, delay + 0.05) < better


def test_a_poorer_codec_sounds_poorer():
    assert mos(0.0, 0.0, 0.0, G729) < mos(0.0, 0.0, 0.0, G711)


@pytest.mark.parametrize(("loss", "jitter", "delay"), [(1.0, 9.0, 9.0), (7.0, 0.0, 0.0), (-1.0, 0.0, 0.0)])
def test_the_score_stays_on_its_scale(loss: float, jitter: float, delay: float):
    assert 1.0 <= mos(loss, jitter, delay) <= 4.5
