"""Configurations for the tests, written to a folder of their own."""

from pathlib import Path

import pytest

from haproxy_voip.configuration.errors import ConfigErrors
from haproxy_voip.configuration.load import load
from haproxy_voip.configuration.model import Config

USERS = 'realm: voip.example\nusers:\n  "1001": {password: secret}\n'
PROXY = "proxy: {domain: voip.example, sip: {listen: ['udp:192.0.2.10:5060']}}\n"
BACKENDS = "backends:\n  alpha: {sip: 'udp:192.0.2.11:5060'}\n"
MINIMAL = f"{PROXY}users: users.yaml\n{BACKENDS}"


def write(folder: Path, text: str) -> Path:
    (folder / "users.yaml").write_text(USERS)
    file = folder / "x.yaml"
    file.write_text(text)
    return file


def loaded(folder: Path, text: str) -> Config:
    return load(write(folder, text))


def mistakes(folder: Path, text: str) -> list[str]:
    """What is wrong, one string each, without the folder."""
    with pytest.raises(ConfigErrors) as caught:
        loaded(folder, text)
    return [str(error).replace(f"{folder}/", "") for error in caught.value.errors]
