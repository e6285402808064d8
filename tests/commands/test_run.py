from __future__ import annotations

from pathlib import Path


def test_run_refuses_a_broken_configuration_before_it_does_anything(asked, config):
    Path(config).write_text("nonsense")
    status, _, err = asked("run", "-c", config)
    assert status == 1 and f"{config}:1" in err
