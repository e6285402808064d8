"""docs/CONFIGURATION.md is what the model says."""

from pathlib import Path

from haproxy_voip.configuration.load import load
from haproxy_voip.configuration.reference import HEAD, TARGET, reference
from tests.configuration.samples import write

ROOT = Path(__file__).parents[2]


def test_the_page_is_fresh() -> None:
    written = (ROOT / TARGET).read_text()
    assert written == reference() + "\n", "run: python -m haproxy_voip.configuration.reference"


def test_a_row_shows_what_is_taken_the_default_and_the_meaning() -> None:
    assert (
        "| `rise` | whole number, 1 to 100 | `3` | Answered probes in a row that bring a backend up. |" in reference()
    )
    assert "| `failback` | `manual` or a duration, 1s to 24h | `manual` |" in reference()
    assert "| `domain` | domain name or IP address | required |" in reference()


def test_the_page_s_smallest_file_loads(tmp_path: Path) -> None:
    [_, example, *_] = HEAD.split("```")
    assert load(write(tmp_path, example.removeprefix("yaml\n"))).proxy.domain == "voip.example"
