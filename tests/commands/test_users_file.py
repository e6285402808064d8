from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from haproxy_voip.commands import Failure
from haproxy_voip.commands.users_file import add_common, load_users, realm_of, tell_running, users_path


def options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--realm")
    add_common(parser, print)
    return parser.parse_args(words)


def test_the_users_file_is_the_one_named_or_the_configuration_s(folder, config):
    assert users_path(options("--users", "x.yaml")) == Path("x.yaml")
    assert users_path(options("-c", config)) == folder / "users.yaml"
    Path(config).write_text("proxy: {domain: voip.example}\n")
    for words in ((), ("-c", config)):
        with pytest.raises(Failure):
            users_path(options(*words))


def test_the_realm_is_the_one_given_or_the_file_s_or_the_domain(folder, config):
    assert realm_of(options("--realm", "r"), Path("none")) == "r"
    assert realm_of(options(), folder / "users.yaml") == "voip.example"
    assert realm_of(options("-c", config), Path("none")) == "voip.example"
    with pytest.raises(Failure):
        realm_of(options(), Path("none"))


def test_a_file_with_mistakes_is_a_failure(folder):
    (folder / "users.yaml").write_text("nonsense")
    with pytest.raises(Failure):
        load_users(folder / "users.yaml")


def test_where_no_proxy_runs_none_is_told(config):
    assert tell_running(options()) is False
    assert tell_running(options("-c", config)) is False
