"""Names that can stand in commands, tables and logs."""

import pytest

from haproxy_voip.configuration.names import mistake_in_name


@pytest.mark.parametrize("name", ["alpha", "pbx-1", "a.b_c", "1", "x" * 32])
def test_plain_names_are_taken(name: str) -> None:
    assert mistake_in_name(name) is None


@pytest.mark.parametrize("name", ["", "a b", "-alpha", "x" * 33, "a\n", "é", "a/b", "<<"])
def test_others_are_refused(name: str) -> None:
    assert mistake_in_name(name) is not None
