"""The files that `users import` reads: those named, and what they include from their own folders."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from haproxy_voip.commands import REFUSED, Failure
from haproxy_voip.configuration.accounts.reading import Source
from haproxy_voip.configuration.accounts.sections import CannotInclude, Included

# 100,000 users as FreePBX writes each, at some 1.5 kB.
MAX_BYTES = 256 * 1024 * 1024
# FreePBX has some 50; a pattern that matches its own file is stopped long before.
MAX_FILES = 1000
WILDCARDS = "*?["


class Files:
    """Reads them, all together no more than one can mean to import."""

    def __init__(self) -> None:
        self._folders: list[Path] = []
        self._left_bytes = MAX_BYTES
        self._left_files = MAX_FILES

    def named(self, paths: Sequence[Path]) -> list[Source]:
        """Those on the command line. Raises Failure for one that cannot be read."""
        sources = []
        for path in paths:
            try:
                sources.append(Source(path, self._read(path)))
            except CannotInclude as error:
                raise Failure(REFUSED, f"{path}: {error}") from None
            if path.parent not in self._folders:
                self._folders.append(path.parent)
        return sources

    def include(self, pattern: str, missing_is_fine: bool) -> list[Included]:
        """What an #include names, as Asterisk looks for it: from the folder of the configuration, with wildcards.

        Raises CannotInclude.
        """
        paths = [path for folder in self._folders for path in _matching(folder, pattern)]
        if not paths and not missing_is_fine and not any(sign in pattern for sign in WILDCARDS):
            raise CannotInclude("there is no such file")
        return [Included(path, self._read(path)) for path in paths]

    def _read(self, path: Path) -> str:
        self._left_files -= 1
        if self._left_files < 0:
            raise CannotInclude(f"more than {MAX_FILES} files")
        try:
            with path.open("rb") as file:
                data = file.read(self._left_bytes + 1)
        except OSError as error:
            raise CannotInclude(f"cannot be read: {error.strerror or error}") from None
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            raise CannotInclude(f"more than {MAX_BYTES} bytes in all")
        # Comments and callers' names may be in whatever encoding; a password or a user's name that is not UTF-8 is
        # told as a mistake later.
        return data.decode("utf-8", "surrogateescape")


def _matching(folder: Path, pattern: str) -> list[Path]:
    """Never outside of the folder; a symbolic link in it was put there by its owner, as FreePBX does."""
    wanted = os.path.normpath(folder / pattern)
    inside = os.path.normpath(folder)
    if os.path.commonpath([os.path.abspath(wanted), os.path.abspath(inside)]) != os.path.abspath(inside):
        raise CannotInclude(f"is outside of {folder}/ and not followed; copy it there, or name it as well")
    found = (Path(name) for name in sorted(glob.glob(pattern, root_dir=folder)))
    return [folder / name for name in found if (folder / name).is_file()]
