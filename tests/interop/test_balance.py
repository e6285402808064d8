"""Three Asterisks that share the calls by weight, and one of them dies."""

from tests.interop.audio import CALLEE_TONE, CALLER_TONE
from tests.interop.conftest import StartHandset, StartProxy
from tests.interop.hearing import TimedEar
from tests.interop.office import connect
from tests.interop.parties import CALLEE, CALLER, THIRD
from tests.interop.proxy import Proxy, ProxySetting
from tests.interop.servers import Asterisk
from tests.interop.test_survival import BEFORE, MOVED_SECONDS, no_calls

SPREAD = ProxySetting(
    terms={"alpha": "weight: 2, max_calls: 50", "beta": "slowstart: 10s"},
    lines=("balance: least_calls", "panic: 60", "health: {timeout: 100ms, fall: 3}"),
)


def loads(proxy: Proxy) -> dict[str, int]:
    return {row["name"]: row["calls"] for row in proxy.status()["backends"]}


def test_calls_are_spread_by_weight_and_go_on_at_the_others_when_one_dies(
    alpha: Asterisk, beta: Asterisk, charlie: Asterisk, start_proxy: StartProxy, start_handset: StartHandset,
    caller_ear: TimedEar, callee_ear: TimedEar,
) -> None:  # fmt: skip
    proxy = start_proxy(alpha, beta, charlie, setting=SPREAD)
    two = (("1001", CALLER, caller_ear), ("1002", CALLEE, callee_ear))
    ours, theirs = (start_handset(user=user, server=proxy.address, address=at, ear=ear) for user, at, ear in two)
    others = [start_handset(user=str(user), server=proxy.address, address=THIRD) for user in range(1003, 1011)]
    for phone in (ours, theirs, *others):
        assert phone.register() == 200
    proxy.wait_registered(10)

    talk, _ = connect(ours, theirs)
    caller_ear.wait_for(CALLEE_TONE, BEFORE)
    calls = [phone.call("600") for phone in others[:6]]
    for call in calls:
        call.wait_answered()
    assert loads(proxy) == {"alpha": 4, "beta": 2, "charlie": 2}
    for server, count in ((alpha, 4), (beta, 2), (charlie, 2)):
        server.wait_channels(count)
    assert not proxy.status()["panic"]

    alpha.kill()
    status = proxy.wait(lambda status: sum(row["calls"] for row in status["backends"][1:]) == 8, MOVED_SECONDS)
    assert min(row["calls"] for row in status["backends"][1:]) >= 3
    assert (status["percent_up"], status["panic"]) == (50, True)
    assert "less than panic: 60" in proxy.text()
    caller_ear.wait_for(CALLEE_TONE, BEFORE)
    callee_ear.wait_for(CALLER_TONE, BEFORE)
    for phone in others[6:]:
        calls.append(phone.call("600"))
        calls[-1].wait_answered()
    found = loads(proxy)
    assert (found["alpha"], found["beta"] + found["charlie"]) == (0, 10)
    beta.wait_channels(found["beta"])
    charlie.wait_channels(found["charlie"])
    for call in (talk, *calls):
        assert call.ended_at is None
        call.hang_up()
    no_calls(proxy, beta, charlie)
