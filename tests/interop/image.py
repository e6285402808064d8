"""The container image, built by buildah as the Dockerfile says, and what it holds, run as an engine would.

No container engine is needed: the base is a Debian that tests/interop/setup.sh made, tagged with the name the
Dockerfile asks for; what the image says (user, entry point, health check) is read from it and done.
"""

import json
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.interop.network import outside
from tests.interop.processes import Process
from tests.interop.servers import CACHE

ROOT = Path(__file__).parents[2]
BASE = CACHE / "bookworm"
NAME = "haproxy_voip"
BUILD_SECONDS = 240.0


class Builder:
    """buildah with images of its own in this folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._store = ["--root", f"{folder}/store", "--runroot", f"{folder}/run"]

    def base(self, name: str) -> None:
        """The Debian we have becomes the image of this name."""
        made = self._do("from", "scratch")
        self._do("copy", made, str(BASE), "/")
        self._do("commit", "--rm", made, name)

    def build(self) -> None:
        """What `docker build .` does, with packages that were fetched before."""
        wheels, pip = self._wheels(), self._folder / "pip.conf"
        pip.write_text("[global]\nno-index = true\nfind-links = /wheels\n")
        volumes = [f"--volume={wheels}:/wheels:ro", f"--volume={pip}:/etc/pip.conf:ro"]
        how = ["--isolation=chroot", "--format=docker", "--pull-never", "--layers=false"]
        self._do("bud", *how, *volumes, "--tag", NAME, "--file", str(ROOT / "Dockerfile"), str(ROOT))

    def image(self) -> "Image":
        """What was built, unpacked."""
        container = self._do("from", "--pull-never", NAME)
        says = json.loads(self._do("inspect", container))["Docker"]["config"]
        return Image(Path(self._do("mount", container)), says)

    def close(self) -> None:
        """Unmount what was unpacked."""
        self._do("umount", "--all")

    def _wheels(self) -> Path:
        wheels = self._folder / "wheels"
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())
        wanted = [*project["build-system"]["requires"], "wheel", *project["project"]["dependencies"]]
        # For the Python of the base, not for ours.
        how = ["--quiet", "--only-binary=:all:", "--python-version=3.11", "--dest", str(wheels)]
        argv = [sys.executable, "-m", "pip", "download", *how, *wanted]
        subprocess.run(outside(argv), check=True, timeout=BUILD_SECONDS)
        return wheels

    def _do(self, *words: str) -> str:
        argv = ["buildah", *self._store, *words]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout.strip()


@dataclass(frozen=True)
class Image:
    """An unpacked image."""

    root: Path
    says: dict[str, Any]

    @property
    def health_check(self) -> list[str]:
        """The command, without docker's own first word."""
        kind, *command = self.says["Healthcheck"]["Test"]
        assert kind == "CMD"
        return [str(word) for word in command]

    def process(self, log: Path) -> Process:
        """Its main process, as an engine would start it: as its user, in its root, on the host's network."""
        return Process("container", self._inside(self.says["Entrypoint"] + self.says["Cmd"]), log)

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """A command inside, as `docker exec` does."""
        return subprocess.run(self._inside(list(command)), capture_output=True, text=True, timeout=20, check=False)

    @property
    def user(self) -> tuple[int, int]:
        """Numbers of its user and group."""
        users = [line.split(":") for line in (self.root / "etc/passwd").read_text().splitlines()]
        return next((int(fields[2]), int(fields[3])) for fields in users if fields[0] == self.says["User"])

    def _inside(self, command: list[str]) -> list[str]:
        user, group = self.user
        into = ["unshare", "--mount", "chroot", f"--userspec={user}:{group}", "--groups=", str(self.root)]
        return [*into, "/usr/bin/env", "-i", *self.says["Env"], *command]
