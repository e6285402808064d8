"""`haproxy-voip reload` before real servers, with calls up: backends come, go and change places, and nobody notices."""

import time

import pytest

from haproxy_voip.edge.control_client import request
from tests.interop.audio import CALLEE_TONE, CALLER_TONE
from tests.interop.conftest import StartProxy, StartTalk
from tests.interop.hearing import TimedEar
from tests.interop.processes import ProcessError
from tests.interop.proxy import Proxy
from tests.interop.servers import Asterisk
from tests.interop.test_survival import no_calls, unbroken

# Longest time between two packets, generous: machines that run tests are busy. Undisturbed it is 0.02 s.
GAP = 0.5
IN_A_ROW = 100


def names(proxy: Proxy) -> list[str]:
    return [row["name"] for row in proxy.status()["backends"]]


def test_a_call_goes_on_through_reloads_that_add_remove_and_reorder_its_backend(
    alpha: Asterisk, beta: Asterisk, start_proxy: StartProxy, start_talk: StartTalk,
    caller_ear: TimedEar, callee_ear: TimedEar,
) -> None:  # fmt: skip
    proxy = start_proxy(alpha)
    caller, callee = start_talk(proxy, 12000)
    began = time.monotonic()
    assert len(proxy.reload(beta, alpha)["changed"]) == 1
    proxy.wait_registered(2, "alpha", "beta")  # beta was checked, and knows everybody
    assert proxy.status()["active"] == "alpha"
    assert proxy.reload(alpha, beta)["changed"] == ["backends: the order is alpha, beta"]
    proxy.reload(beta)
    assert (proxy.status()["active"], proxy.row("alpha")["admin"], proxy.row("alpha")["calls"]) == (
        "beta",
        "leaving",
        2,
    )
    proxy.wait(lambda status: [row["registrations"] for row in status["backends"]] == [2, 0])
    with pytest.raises(ProcessError, match=r"ended with 1: .*haproxy_voip\.yaml:\d+: limits.max_calls: "):
        proxy.reload(beta, lines=["limits: {max_calls: many}"])
    assert names(proxy) == ["beta", "alpha"]
    proxy.reload(beta)
    for _ in range(IN_A_ROW):
        assert "error" not in request(proxy.control, "reload", {})
    alpha.wait_channels(2)
    time.sleep(max(0.0, began + 4.0 - time.monotonic()))
    unbroken(caller_ear, CALLEE_TONE, began, GAP)
    unbroken(callee_ear, CALLER_TONE, began, GAP)
    caller.wait()
    callee.wait()
    proxy.wait(lambda status: [row["name"] for row in status["backends"]] == ["beta"])
    no_calls(proxy, alpha, beta)
