"""How much there may be, and who is kept out, as it is written."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from tests.configuration.samples import MINIMAL, loaded, mistakes

LINE = MINIMAL.count("\n") + 1


def test_without_a_word_one_user_may_have_as_many_calls_as_all_and_nobody_is_allowed_everything(tmp_path: Path) -> None:
    limits = loaded(tmp_path, MINIMAL).limits
    assert (limits.calls_per_user, limits.allow, limits.max_lag) == (None, (), 0.25)


def test_limits_are_read(tmp_path: Path) -> None:
    text = "limits: {calls_per_user: 3, max_lag: 150ms, ban: 10s, max_ban: 1h, allow: [192.0.2.0/24, '2001:db8::1']}\n"
    limits = loaded(tmp_path, MINIMAL + text).limits
    assert (limits.calls_per_user, limits.max_lag, limits.ban, limits.max_ban) == (3, 0.15, 10.0, 3600.0)
    assert limits.allow == (ip_network("192.0.2.0/24"), ip_network("2001:db8::1"))


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        ("calls_per_user: 0", "calls_per_user"),
        ("calls_per_user: many", "calls_per_user"),
        ("max_lag: 100", "max_lag"),
        ("failures: 0", "failures"),
        ("requests: -1", "requests"),
        ("allow: [office]", "allow[0]"),
        ("allow: [0.0.0.0/0]", "allow[0]"),
        ("ban: 2h, max_ban: 1h", "max_ban"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, wrong: str, key: str) -> None:
    (told,) = mistakes(tmp_path, f"{MINIMAL}limits: {{{wrong}}}\n")
    assert told.startswith(f"x.yaml:{LINE}: limits.{key}: ")
