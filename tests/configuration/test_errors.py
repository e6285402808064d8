"""A mistake reads `file:line: key: problem; remedy`, which editors can jump to."""

from pathlib import Path

from haproxy_voip.configuration.errors import ConfigError, ConfigErrors

ONE = ConfigError(Path("x.yaml"), 3, "health.inter", "5 is no duration", "write 5s")
WHOLE = ConfigError(Path("x.yaml"), 1, "", "cannot be read", "check its name")


def test_a_mistake_reads_file_line_key_problem_remedy() -> None:
    assert str(ONE) == "x.yaml:3: health.inter: 5 is no duration; write 5s"


def test_a_mistake_of_the_whole_file_names_no_key() -> None:
    assert str(WHOLE) == "x.yaml:1: cannot be read; check its name"


def test_all_mistakes_are_told_one_a_line() -> None:
    assert str(ConfigErrors([WHOLE, ONE])).splitlines() == [str(WHOLE), str(ONE)]
