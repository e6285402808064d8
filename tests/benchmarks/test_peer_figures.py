"""What is made of measurements of several SIP proxies."""

import pytest

from benchmarks.parts.peer_figures import Climb, Cost, climb, median_by_program, per_call, ratios


def cost(**programs: float) -> Cost:
    return Cost(programs, 0, 1.0)


def test_what_a_program_takes_without_calls_is_not_charged_to_calls() -> None:
    before, after = {"proxy": 1.0, "helper": 4.0}, {"proxy": 3.5, "helper": 4.1}
    found = per_call(before, after, {"proxy": 0.5, "helper": 0.2}, 1000)
    assert found == {"proxy": pytest.approx(0.002), "helper": 0.0}


def test_a_ratio_is_to_the_reference_of_the_same_round() -> None:
    assert ratios([cost(a=2.0, b=1.0), cost(a=8.0, b=1.0)], [cost(r=1.0), cost(r=3.0)]) == [3.0, 3.0]
    with pytest.raises(ValueError, match="shorter"):
        ratios([cost(a=1.0), cost(a=1.0)], [cost(r=1.0)])


def test_medians_are_by_program() -> None:
    assert median_by_program([cost(a=1.0, b=9.0), cost(a=3.0, b=7.0), cost(a=2.0, b=8.0)]) == {"a": 2.0, "b": 8.0}


@pytest.mark.parametrize(
    ("tried", "found"),
    [
        ([(100, 0, False), (200, 0, False), (300, 2, False)], Climb(200, "2 failed at 300")),
        ([(100, 0, False), (200, 0, True)], Climb(100, "late at 200")),
        ([(100, 1, False)], Climb(0, "1 failed at 100")),
        ([(100, 0, False)], Climb(100, "no higher rate was tried")),
    ],
)
def test_a_climb_ends_at_the_last_rate_without_trouble(tried: list[tuple[int, int, bool]], found: Climb) -> None:
    assert climb(tried) == found
