"""compose.yaml fits the configuration it mounts, the servers' run scripts and the files it builds from.

Not run by an engine here: tests/interop/test_image.py builds and runs the image, other tests run the same servers.
"""

from pathlib import Path
from typing import Any

import yaml

from haproxy_voip.configuration.load import load
from haproxy_voip.embedded.certificate import write_certificate
from tests.interop.servers import password

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
CLUSTER = ROOT / "config/cluster"


def address(service: str) -> str:
    return str(SERVICES[service]["networks"]["cluster"]["ipv4_address"])


def test_the_proxy_finds_every_server_where_it_is_started(tmp_path: Path) -> None:
    for file in CLUSTER.iterdir():
        (tmp_path / file.name).write_text(file.read_text().replace("/var/lib/haproxy_voip/", ""))
    write_certificate(tmp_path / "tls.crt", tmp_path / "tls.key", ["voip.example"])
    config = load(tmp_path / "haproxy_voip.yaml")
    for backend in config.backends:
        name = backend.name
        assert backend.sip is not None and str(backend.sip.address.host) == address(name)
        assert backend.xmpp is not None and str(backend.xmpp.address.host) == address(f"{name}-chat")
        assert SERVICES[name]["command"] == [name, address(name)]
        assert SERVICES[f"{name}-chat"]["command"] == [name, address(f"{name}-chat")]
        assert SERVICES[name]["environment"]["PROXY"] == address("proxy")
    assert {str(listener.address.host) for listener in config.proxy.sip.listen} == {address("proxy")}


def test_what_it_builds_from_is_there() -> None:
    for name, service in SERVICES.items():
        build = service["build"]
        where, file = (build, "Dockerfile") if isinstance(build, str) else (build["context"], build["dockerfile"])
        text = (ROOT / where / file).read_text()
        assert "ENTRYPOINT" in text, name
        if isinstance(build, dict):
            assert (ROOT / where / "run").exists(), name


def test_its_users_are_the_servers_users() -> None:
    users = yaml.safe_load((CLUSTER / "users.yaml").read_text())["users"]
    assert users == {str(user): {"password": password(str(user))} for user in range(1001, 1011)}
