"""benchmarks/relay.py with next to nothing: that what it measures passes through what it says."""

import os
from pathlib import Path

import pytest

from benchmarks.parts.relay_clocks import clocks, softirq_threads
from benchmarks.parts.relays import CONTESTANTS, NOBODY, USERSPACE
from benchmarks.parts.rtp_load import compiled, rtp_load

SESSIONS = 2


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("load"))


@pytest.mark.parametrize("name", [NOBODY, USERSPACE])
def test_every_packet_comes_as_it_was_sent_and_in_time(name: str, program: Path) -> None:
    contestant = next(one for one in CONTESTANTS if one.name == name)
    with rtp_load(program, SESSIONS) as load, contestant.start(load, program.parent) as relayed:
        load.lead(relayed.ways)
        load.run(0.1, "ramp")
        before = clocks(load.process, relayed.process, softirq_threads())
        run = load.run(0.2, "sleep")
        used = clocks(load.process, relayed.process, softirq_threads()) - before
        latencies = load.run(0.1, "spin").latencies
    assert run.sent == run.received == SESSIONS * 2 * 50 * 0.2
    assert len(latencies) == SESSIONS * 2 * 50 * 0.1
    assert 0 < used.generator < used.wall and (used.relay > 0) == (name == USERSPACE)


def test_a_packet_that_comes_where_it_does_not_belong_ends_the_benchmark(program: Path) -> None:
    with rtp_load(program, SESSIONS) as load:
        first, second = load.direct()
        load.lead([first._replace(from_phone=second.from_phone), second])
        with pytest.raises(SystemExit, match="not what was sent"):
            load.run(0.1, "sleep")


def test_softirq_threads_are_found_one_for_each_processor() -> None:
    assert len(softirq_threads()) == os.cpu_count()
