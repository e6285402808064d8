"""The container image: built as the Dockerfile says, and run as an engine would run it."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.image import ROOT, Builder, Image
from tests.interop.parties import CALLER
from tests.interop.processes import Process, tail
from tests.interop.proxy import ADDRESS
from tests.interop.servers import REALM, Asterisk, password

# Building copies some 2 GB, which a busy disk makes last.
pytestmark = pytest.mark.timeout(500)

READY_SECONDS = 15.0
PYTHON = re.search(r"^ARG PYTHON=(.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def image(interop: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    assert PYTHON is not None
    folder = tmp_path_factory.mktemp("image")
    builder = Builder(folder)
    builder.base(PYTHON[1])
    builder.build()
    yield builder.image()
    builder.close()
    shutil.rmtree(folder, ignore_errors=True)  # some 2 GB


@pytest.fixture
def container(image: Image, alpha: Asterisk, beta: Asterisk, tmp_path: Path) -> Iterator[Process]:
    write_configuration(image, [alpha, beta])
    process = image.process(tmp_path / "log")
    process.start()
    wait_healthy(image, process, tmp_path / "log")
    yield process
    if process.is_running:
        process.stop()


def write_configuration(image: Image, servers: list[Asterisk], more: str = "") -> None:
    folder = image.root / "etc/haproxy_voip"
    lines = [f"proxy: {{domain: {REALM}, digest: [MD5], sip: {{listen: ['udp:{ADDRESS}:5060']}}}}"]
    lines += ["users: users.yaml", "backends:"]
    lines += [f"  {server.name}: {{sip: 'udp:{server.address}:5060'}}" for server in servers]
    users = [f"realm: {REALM}", "users:", f"  '1001': {{password: {password('1001')}}}"]
    for name, text in (("haproxy_voip.yaml", [*lines, more]), ("users.yaml", users)):
        (folder / name).write_text("\n".join(text) + "\n")
        (folder / name).chmod(0o600)
        os.chown(folder / name, *image.user)


def wait_healthy(image: Image, process: Process, log: Path) -> None:
    until = time.monotonic() + READY_SECONDS
    while image.run(*image.health_check).returncode != 0:
        assert process.is_running and time.monotonic() < until, tail(log)
        time.sleep(0.1)


def status(image: Image) -> dict[str, object]:
    told: dict[str, object] = json.loads(image.run(*image.health_check, "--json").stdout)
    return told


def registers(user: str) -> bool:
    phone = ["-C", f"sip:{user}@{CALLER}:5099", "-x", "300", "-u", user, "-a", password(user)]
    argv = ["sipsak", "-p", ADDRESS, "-i", "-U", "-s", f"sip:{user}@{REALM}", *phone]
    return subprocess.run(argv, capture_output=True, timeout=20, check=False).returncode == 0


def test_it_runs_as_nobody_special_is_healthy_and_serves_a_phone(
    image: Image, container: Process, alpha: Asterisk
) -> None:
    numbers = re.findall(r"^[UG]id:\t(\d+)", Path(f"/proc/{container.group}/status").read_text(), re.MULTILINE)
    assert numbers == [str(number) for number in image.user] and "0" not in numbers
    assert registers("1001")
    until = time.monotonic() + READY_SECONDS
    while not alpha.contacts("1001"):
        assert time.monotonic() < until
        time.sleep(0.1)


def test_docker_stop_ends_it_in_peace_and_the_health_check_notices(image: Image, container: Process) -> None:
    container.signal(getattr(signal, image.says["StopSignal"]))
    assert container.wait(READY_SECONDS) == 0
    assert image.run(*image.health_check).returncode != 0


def test_without_a_configuration_it_says_where_one_is_expected(image: Image) -> None:
    for file in (image.root / "etc/haproxy_voip").iterdir():
        file.unlink()
    done = image.run(*image.says["Entrypoint"], *image.says["Cmd"])
    assert done.returncode != 0 and "/etc/haproxy_voip/haproxy_voip.yaml" in done.stderr


def test_only_what_is_needed_is_in_it(image: Image) -> None:
    there = {path.name for path in (image.root / "opt").iterdir()}
    assert there == {"haproxy_voip"} and not (image.root / "source").exists()
    installed = {path.name for path in (image.root / "opt/haproxy_voip/lib").glob("python3*/site-packages/*")}
    assert "haproxy_voip" in installed and not installed & {"tests", "benchmarks", "pytest", "mypy"}
