"""How long a failure is felt, with bounds for a machine that is busy; benchmarks/failover.py measures properly."""

import statistics

import pytest

from tests.interop.conftest import StartProxy
from tests.interop.measuring import Fail, Measurement, freeze, kill, table
from tests.interop.servers import Asterisk

ROUNDS = 3


@pytest.mark.parametrize(("fail", "median", "worst"), [(kill, 0.25, 1.0), (freeze, 0.5, 1.5)], ids=["killed", "frozen"])
def test_a_new_call_succeeds_soon_after_the_active_server_failed(
    alpha: Asterisk, beta: Asterisk, charlie: Asterisk, start_proxy: StartProxy, fail: Fail, median: float, worst: float
) -> None:
    servers = (alpha, beta, charlie)
    rounds = Measurement(start_proxy(*servers), servers).run(fail, ROUNDS)
    taken = [one.answered for one in rounds]
    print(table([(fail.__name__, rounds, median, worst)]))
    assert statistics.median(taken) <= median
    assert max(taken) <= worst
