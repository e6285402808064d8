"""Questions at the terminal, or flags in their place."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable
from typing import TypeVar

from haproxy_voip.commands import REFUSED, USAGE, Failure
from haproxy_voip.configuration.kinds import Wrong

Answer = TypeVar("Answer")


class Asking:
    """Asks where somebody is at the terminal; else notes what is missing, so that all of it is said at once."""

    def __init__(self, *, suggestions: bool) -> None:
        """With `suggestions` nothing is asked: what is suggested is taken."""
        self.suggestions = suggestions
        self.present = not suggestions and sys.stdin.isatty()
        self.missing: list[str] = []

    def given(self, flag: str, text: str, read: Callable[[str], Answer]) -> Answer:
        """What a flag says. Raises Failure."""
        try:
            return read(text)
        except Wrong as wrong:
            raise Failure(USAGE, f"{flag} {text}: {wrong.problem}; {wrong.remedy}") from None

    def ask(self, question: str, read: Callable[[str], Answer], suggested: str | None = None) -> Answer:
        """Until the answer can be read; nothing but Enter means what is suggested. Raises Failure at its end."""
        shown = f"{question} [{suggested}]: " if suggested else f"{question}: "
        while True:
            text = self.line(shown) or suggested or ""
            try:
                return read(text)
            except Wrong as wrong:
                print(f"  {wrong.problem}; {wrong.remedy}")

    def say(self, text: str) -> None:
        """Something that helps to answer; only where somebody is."""
        if self.present:
            print(text)

    def line(self, prompt: str) -> str:
        """One line, without the space around it. Raises Failure when there are no more."""
        try:
            return input(prompt).strip()
        except EOFError:
            print()
            raise Failure(REFUSED, "no more answers: nothing was written") from None

    def password(self, prompt: str) -> str:
        """Without showing it. Raises Failure when there are no more lines."""
        try:
            return getpass.getpass(prompt)
        except EOFError:
            raise Failure(REFUSED, "no more answers: nothing was written") from None

    def refuse_missing(self) -> None:
        """Raises Failure with everything that nobody was there to be asked for."""
        if self.missing:
            raise Failure(
                USAGE,
                "standard input is no terminal to ask at; missing on the command line:\n  " + "\n  ".join(self.missing),
            )
