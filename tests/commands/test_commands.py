from __future__ import annotations

import re

from haproxy_voip import commands
from haproxy_voip.commands import EXIT_STATUS, Failure


def test_every_exit_status_is_documented():
    named = {value for name, value in vars(commands).items() if name.isupper() and isinstance(value, int)}
    assert {int(number) for number in re.findall(r"(?m)^  (\d)  ", EXIT_STATUS)} == named


def test_a_failure_carries_its_exit_status():
    failure = Failure(3, "nobody answers")
    assert failure.status == 3 and str(failure) == "nobody answers"
