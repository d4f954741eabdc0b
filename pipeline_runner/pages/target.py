"""A file that is to be written at the end of something long: looked at before, and then there whole or not at all."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from enum import Enum
from errno import EACCES, EISDIR
from pathlib import Path
from secrets import token_hex

from pipeline_runner.errors import UsageError


class Target:
    """Where a page goes. Errors: UsageError, at once, when it cannot be written there."""

    def __init__(self, path: str) -> None:
        self._asked = path
        try:
            # A pipe or a device is written to as it is: what came in its place would take it away from all others.
            self._stream = _kind(path) is _Kind.STREAM
            # Calls may change the folder; a link stays a link.
            self.path = Path(os.path.abspath(path) if self._stream else os.path.realpath(path))
            self._look()
        except OSError as error:
            raise self._refused(error) from error

    def write(self, text: str) -> None:
        """Put the text there. Errors: UsageError, and then nothing is there that was not there before."""
        try:
            if self._stream:
                self.path.write_text(text, "utf-8", "backslashreplace")
            else:
                self._replace(text)
        except OSError as error:
            raise self._refused(error) from error

    def _look(self) -> None:
        if not self._stream:
            if _kind(str(self.path)) is _Kind.FOLDER:
                raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
            self._aside().unlink()
        if self.path.exists() and not os.access(self.path, os.W_OK):
            raise PermissionError(EACCES, os.strerror(EACCES))

    def _replace(self, text: str) -> None:
        aside = self._aside()
        try:
            aside.write_text(text, "utf-8", "backslashreplace")
            aside.replace(self.path)
        except BaseException:
            with suppress(OSError):
                aside.unlink()
            raise

    def _aside(self) -> Path:
        """An empty file in the same folder, with the permissions that a new file has."""
        path = self.path.parent / f".prun-{token_hex(6)}"
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
        return path

    def _refused(self, error: OSError) -> UsageError:
        return UsageError(f'cannot write "{self._asked}": {error.strerror or error}')


class _Kind(Enum):
    FILE = "a file, or nothing yet"
    FOLDER = "a folder"
    STREAM = "a pipe, a device"


def _kind(path: str) -> _Kind:
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return _Kind.FILE
    if stat.S_ISDIR(mode):
        return _Kind.FOLDER
    return _Kind.FILE if stat.S_ISREG(mode) else _Kind.STREAM
