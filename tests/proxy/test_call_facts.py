"""What happens within a call reads as a line."""

from __future__ import annotations

import dataclasses
from typing import get_args

import pytest

from haproxy_voip.proxy import call_facts
from tests.proxy.test_facts import SAMPLES


@pytest.mark.parametrize("kind", get_args(call_facts.CallFact))
def test_each_fact_reads_as_a_line(kind: type) -> None:
    values = {field.name: SAMPLES[str(field.type)] for field in dataclasses.fields(kind)}
    text = str(kind(**values))
    assert text.startswith("call some words: ") and "\n" not in text and kind.__name__ not in text


def test_a_transfer_says_how_it_is_done_and_how_it_ended() -> None:
    assert str(call_facts.CallReferred("t1", "callee", "1003", None)) == (
        "call t1: the callee transfers the other to 1003"
    )
    assert "in place of call t2" in str(call_facts.CallReferred("t1", "callee", "1003", "t2"))
    assert str(call_facts.CallTransferred("t1", 0)) == "call t1: the transfer ended with no word"
