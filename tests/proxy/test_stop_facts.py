"""What people read of a proxy that stops."""

from haproxy_voip.proxy.stop_facts import CallsCut, CallsLeftAlone, StopWaits


def test_they_read_as_sentences() -> None:
    waits = "stopping in 2.5 s: 3 calls have so long to end; nothing new is taken"
    assert str(StopWaits(3, 2.5)) == waits
    assert str(CallsCut(2)) == "stopping: 2 calls did not end in time and were hung up"
    assert str(CallsLeftAlone(1)) == "stopping: 1 answered calls talk on, relayed by the kernel"
