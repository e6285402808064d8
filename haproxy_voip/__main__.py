"""The command line, `haproxy-voip` or `python -m haproxy_voip`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from haproxy_voip import __version__
from haproxy_voip.commands import DONE, EXIT_STATUS, Failure, check, control, demo, init, run, users

INTERRUPTED = 130  # as shells count SIGINT


def parser() -> argparse.ArgumentParser:
    """Every command and option."""
    top = argparse.ArgumentParser(
        prog="haproxy-voip",
        description=(
            "A SIP- and XMPP-aware reverse proxy that makes a cluster of voice and chat servers look like one "
            "that never dies."
        ),
        epilog=EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"haproxy-voip {__version__}")
    parsers = top.add_subparsers(required=True, metavar="COMMAND")
    for module in (init, run, check, control, users, demo):
        module.add(parsers)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; the exit status."""
    options = parser().parse_args(arguments)
    try:
        status: int = options.command(options)
        sys.stdout.flush()
    except Failure as failure:
        print(failure, file=sys.stderr)
        return failure.status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough (`| head`); Python must not complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    return status


if __name__ == "__main__":
    sys.exit(main())
