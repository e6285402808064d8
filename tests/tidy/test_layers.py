"""Who may import whom: the house's floors (docs/ARCHITECTURE.md), read from the source."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tidy.source import PACKAGE, imports, modules

PROTOCOLS = {"core", "sip", "xmpp", "rtp", "cluster"}
MODEL = {"configuration.model", "configuration.peers", "configuration.limits"}
NODE = PROTOCOLS | {"proxy"} | MODEL
# Package -> what of ours it may import besides itself. `a.b` allows that one module.
LAYERS: dict[str, set[str]] = {
    "core": set(),
    "sip": {"core"},
    "xmpp": {"core"},
    "rtp": {"core"},
    "cluster": {"core"},
    "configuration": {"core"},
    "proxy": PROTOCOLS | MODEL,
    "edge": NODE | {"configuration.changes", "configuration.resolved"},
    "observe": NODE,
    "web": NODE | {"observe"},
    "embedded": NODE | {"edge"},
    "drill": NODE | {"edge", "observe", "embedded", "configuration"},
}
# These build the object graph from top to bottom.
ROOFS = {"__main__", "commands"}

SANS_IO = PROTOCOLS | {"proxy"}
# Pure as well, because the packages above import it.
SANS_IO_MODULES = {
    "configuration/model.py",
    "configuration/peers.py",
    "configuration/limits.py",
    "configuration/kinds.py",
}
OUTSIDE_WORLD = {
    *("asyncio", "socket", "ssl", "select", "selectors", "subprocess", "signal"),
    *("time", "datetime", "random", "secrets", "uuid", "os", "threading", "logging"),
}
ALLOWED_OUTSIDE = {("core/chance.py", "random")}

ALL = modules("haproxy_voip")


def layer_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def floors_skipped(path: Path) -> Iterator[str]:
    layer = layer_of(path)
    allowed = LAYERS[layer] | {layer}
    for line, name in imports(path):
        top, _, rest = name.partition(".")
        if top == "":
            yield f"{path}:{line}: write imports in full"
        elif (
            top == PACKAGE.name and is_floor(rest) and not any(f"{rest}.".startswith(f"{floor}.") for floor in allowed)
        ):
            yield f"{path}:{line}: {layer} may not import {rest}"


def is_floor(name: str) -> bool:
    return name.partition(".")[0] in LAYERS.keys() | ROOFS


def windows_opened(path: Path) -> Iterator[str]:
    inside = path.relative_to(PACKAGE).as_posix()
    if layer_of(path) not in SANS_IO and inside not in SANS_IO_MODULES:
        return
    for line, name in imports(path):
        top = name.partition(".")[0]
        if top in OUTSIDE_WORLD and (inside, top) not in ALLOWED_OUTSIDE:
            yield f"{path}:{line}: {inside} may not import {top}"


def test_every_package_has_its_floor() -> None:
    packages = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert packages <= LAYERS.keys() | ROOFS


@pytest.mark.parametrize("layer", LAYERS)
def test_no_package_imports_what_stands_above_or_beside_it(layer: str) -> None:
    assert [found for path in ALL if layer_of(path) == layer for found in floors_skipped(path)] == []


def test_protocol_code_has_no_socket_no_clock_and_no_chance_of_its_own() -> None:
    assert [found for path in ALL for found in windows_opened(path)] == []


def test_the_model_leans_on_nothing_of_the_loader() -> None:
    allowed = ("core.", "configuration.kinds.", "configuration.peers.", "configuration.limits.")
    for inside in SANS_IO_MODULES:
        ours = [name.partition(".")[2] for _, name in imports(PACKAGE / inside) if name.startswith(PACKAGE.name)]
        assert [name for name in ours if not name.startswith(allowed)] == []
