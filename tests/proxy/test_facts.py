"""Facts are sentences."""

from __future__ import annotations

import dataclasses
from typing import get_args

import pytest

from haproxy_voip.core.address import Address, Flow, Transport
from haproxy_voip.proxy import facts

SAMPLES: dict[str, object] = {
    "Flow": Flow(Transport.UDP, Address("192.0.2.1", 5060), Address("192.0.2.7", 5062)),
    "str": "some words",
    "str | None": None,
    "int": 3,
    "bool": False,
    "float": 1.5,
    "dict[str, int]": {"calls": 2},
}


@pytest.mark.parametrize("kind", [kind for kind in get_args(facts.NodeFact) if kind.__module__ == facts.__name__])
def test_each_fact_reads_as_a_line(kind: type) -> None:
    values = {field.name: SAMPLES[str(field.type)] for field in dataclasses.fields(kind)}
    text = str(kind(**values))
    assert text and "\n" not in text and kind.__name__ not in text


def test_a_failover_record_says_what_moved_and_what_ended() -> None:
    record = facts.FailoverRecord("alpha", "beta", "canary closed", 0.0123, {"calls": 2}, {}, 7.0)
    assert str(record) == (
        "failover alpha -> beta on canary closed, detected after 12 ms; moved: 2 calls; ended: nothing"
    )
