"""Asking a running proxy over its control socket (edge/control.py), from the command line: plain and blocking."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# The proxy answers at once; one that does not in this time (seconds) is stuck or stopped.
PATIENCE = 5.0

Result = dict[str, Any]


class ControlError(Exception):
    """The running proxy cannot be asked; the text says why and what to do."""


def request(path: Path, command: str, arguments: Mapping[str, str], patience: float = PATIENCE) -> Result:
    """Ask the proxy that listens at `path`. Raises ControlError; blocks for `patience` seconds at most each way."""
    line = json.dumps({"command": command, "arguments": dict(arguments)}).encode() + b"\n"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.settimeout(patience)
            asking.connect(str(path))
            asking.sendall(line)
            with asking.makefile("rb") as answers:
                answer = answers.readline()
    except OSError as error:
        raise ControlError(_why_not(path, error)) from None
    if not answer.endswith(b"\n"):
        raise ControlError(f"{path}: the proxy ended the connection without an answer; see its log")
    result = json.loads(answer)
    assert isinstance(result, dict), "the control server answers with objects"
    return result


def _why_not(path: Path, error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return f"{path} does not exist: no proxy runs there; start one, or name its socket with --control or -c"
        case ConnectionRefusedError():
            return f"{path}: nobody listens: the proxy that made this socket has died; start it again"
        case PermissionError():
            return f"{path}: permission denied; become its owner, join its group, or use sudo"
        case TimeoutError():
            return f"{path}: no answer in time; the proxy is stuck or stopped"
        case _:
            return f"{path}: {error.strerror or error}"
