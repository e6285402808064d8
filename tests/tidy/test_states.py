"""docs/states/ says what the transaction machines do: a changed transition shows in review."""

import pytest

from tests.tidy.states import COMMAND, DIRECTORY, SUBJECTS, explore, page


@pytest.mark.parametrize("name", SUBJECTS)
def test_documented_transitions_are_the_machines_own(name: str) -> None:
    written = (DIRECTORY / f"{name}.md").read_text(encoding="utf-8")
    assert written == page(name), f"run {COMMAND} and look at the difference"


@pytest.mark.parametrize("name", SUBJECTS)
def test_every_state_can_be_reached(name: str) -> None:
    subject = SUBJECTS[name]
    reached = {row.split(" | ")[3] for reliable in (False, True) for _, row in explore(subject, reliable)}
    assert reached == set(subject.states)


@pytest.mark.parametrize("name", SUBJECTS)
def test_nothing_leads_out_of_terminated(name: str) -> None:
    for reliable in (False, True):
        assert "terminated" not in [state for state, _ in explore(SUBJECTS[name], reliable)]


def test_every_page_has_its_machine() -> None:
    assert sorted(path.stem for path in DIRECTORY.glob("*.md")) == sorted(SUBJECTS)
