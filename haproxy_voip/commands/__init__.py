"""The command line: one module for each command. `add` tells argparse of it; its function returns the exit status."""

from __future__ import annotations

import argparse
from typing import TypeAlias

DONE = 0
REFUSED = 1  # asked for something wrong: a broken configuration, an unknown backend, a name that is taken
USAGE = 2  # argparse's own
UNREACHABLE = 3  # no proxy answers on the control socket
CANNOT_RUN = 4  # a port is taken, a certificate cannot be used

EXIT_STATUS = """\
exit status:
  0  done
  1  refused: the configuration is wrong, or the proxy will not do that
  2  the command line is wrong
  3  no proxy answers on the control socket
  4  the proxy cannot start: a port is taken, a certificate cannot be used
"""


class Failure(Exception):
    """A command ends without success; the text goes to standard error: what, where, what to do."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


Parsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
