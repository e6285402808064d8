from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from haproxy_voip.commands import REFUSED, Failure
from haproxy_voip.commands.options import DEFAULT_CONTROL, add_control, add_json, configuration, control_path


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_control(parser)
    add_json(parser)
    return parser.parse_args(arguments)


def test_the_socket_is_named_or_taken_from_the_configuration_or_the_usual_one(config, folder):
    assert control_path(parsed("--control", "x.sock")) == Path("x.sock")
    assert control_path(parsed("-c", config)) == folder / "c.sock"
    assert control_path(parsed("--json")) == DEFAULT_CONTROL


def test_the_socket_is_found_though_the_rest_is_broken(config, folder):
    (folder / "users.yaml").write_text("nonsense")
    Path(config).write_text(Path(config).read_text() + "surprise: 1\nproxy: nonsense\n")
    assert control_path(parsed("-c", config)) == folder / "c.sock"
    Path(config).write_text("control: {}\n")
    with pytest.raises(Failure, match=r"proxy\.yaml:\d+: control: "):
        control_path(parsed("-c", config))


def test_a_broken_configuration_is_a_failure_that_names_each_mistake(tmp_path):
    with pytest.raises(Failure, match=r"nowhere\.yaml") as failed:
        configuration(tmp_path / "nowhere.yaml")
    assert failed.value.status == REFUSED
