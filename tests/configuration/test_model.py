"""The tree itself: frozen, with defaults that work, and the two questions it answers."""

import dataclasses
from pathlib import Path

import pytest

from haproxy_voip.configuration.model import Config
from haproxy_voip.core.address import Address
from tests.configuration.samples import MINIMAL, PROXY, loaded

NATTED = MINIMAL.replace(PROXY, PROXY.replace("sip:", "advertise: 203.0.113.1, sip:"))
V4, V6 = Address("10.0.0.5", 5060), Address("2001:db8::5", 5060)


def test_nothing_in_it_can_be_changed(tmp_path: Path) -> None:
    config = loaded(tmp_path, MINIMAL)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.health.rise = 5


def test_positional_arguments_are_refused() -> None:
    with pytest.raises(TypeError):
        Config(None, None)


def test_the_advertised_address_is_for_listeners_of_its_family(tmp_path: Path) -> None:
    proxy = loaded(tmp_path, NATTED).proxy
    assert proxy.advertised(V4) == "203.0.113.1"
    assert proxy.advertised(V6) == "2001:db8::5"


def test_without_one_the_listener_s_own_is_told(tmp_path: Path) -> None:
    assert loaded(tmp_path, MINIMAL).proxy.advertised(V4) == "10.0.0.5"


def test_media_goes_where_sip_goes_unless_told_otherwise(tmp_path: Path) -> None:
    config = loaded(tmp_path, NATTED)
    assert (config.media_address(V4), config.media_listen(V4)) == ("203.0.113.1", "10.0.0.5")
    config = loaded(tmp_path, NATTED + "media: {address: 203.0.113.2, listen: 10.0.0.6}\n")
    assert (config.media_address(V4), config.media_listen(V4)) == ("203.0.113.2", "10.0.0.6")
    assert (config.media_address(V6), config.media_listen(V6)) == ("2001:db8::5", "2001:db8::5")
