"""Histories with everything that goes wrong, each from its number; more of them: tests/simulation."""

from __future__ import annotations

import pytest

from tests.proxy.chat.storm import Storm


@pytest.mark.parametrize("seed", [*range(1, 8), 17, 22, 229])
def test_nothing_is_lost_doubled_or_noticed(seed: int) -> None:
    storm = Storm(seed)
    assert storm.play(80) == [], storm.log
