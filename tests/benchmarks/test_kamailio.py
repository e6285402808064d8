"""Kamailio's configuration in the sets it is measured in."""

from pathlib import Path

import pytest

from benchmarks.parts.kamailio import Set, config


@pytest.mark.parametrize(
    ("of", "has", "has_not"),
    [
        (Set(), ("dispatcher.so", "record_route()"), ("dialog.so", "rtpengine", "topos")),
        (Set(dialogs=True), ("dialog.so", "dlg_manage()", "rtpengine_manage("), ("topos",)),
        (Set(dialogs=True, hiding=True), ("dialog.so", "topos_redis.so", "rtpengine_manage("), ()),
    ],
)
def test_each_set_has_what_its_name_says_and_no_more(of: Set, has: tuple[str, ...], has_not: tuple[str, ...]) -> None:
    text = config(of, Path("/folder"))
    assert all(word in text for word in has)
    assert not any(word in text for word in has_not)
    assert text.count("{") == text.count("}")
