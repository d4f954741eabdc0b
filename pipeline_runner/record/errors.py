"""What can be wrong with a state folder, in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline_runner.errors import PipelineError
from pipeline_runner.record.sqlite import sqlite3

CORRUPT, NOT_A_DATABASE = 11, 26  # SQLite's codes
# What reading a damaged database raises. SQLite quotes what is damaged; where that is no text, Python cannot tell it.
UNREADABLE = (sqlite3.DatabaseError, UnicodeDecodeError)


class StoreError(PipelineError):
    """The state folder cannot be used as it is."""

    exit_code = 4

    def __init__(self, path: Path | str, why: str, cure: str) -> None:
        self.path, self.why, self.cure = str(path), why, cure
        super().__init__(f"{path}: {why}\n  {cure}")


def damaged(error: BaseException) -> bool:
    """Whether SQLite says that the file itself is broken, and not that it cannot be had."""
    code: int = getattr(error, "sqlite_errorcode", None) or 0
    return isinstance(error, UnicodeDecodeError) or (
        isinstance(error, sqlite3.DatabaseError) and code & 0xFF in (CORRUPT, NOT_A_DATABASE)
    )


@contextmanager
def usable(path: Path) -> Iterator[None]:
    """Tell what the operating system or SQLite will not do in a sentence that names the path and the need."""
    try:
        yield
    except (OSError, sqlite3.Error, UnicodeDecodeError) as error:
        raise store_error(path, error) from error


def store_error(path: Path, error: BaseException) -> StoreError:
    """An error of the operating system or of SQLite in words."""
    if damaged(error):
        return StoreError(
            path, f"the journal is damaged: {error}", "go on with --resume: what can be read of it is kept"
        )
    if isinstance(error, FileExistsError | NotADirectoryError):
        return StoreError(path, "the run store is a folder, and here is a file", "name another folder with --state")
    cure = "free some space or make it writable, then go on with --resume; or name another folder with --state"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return StoreError(path, f"the run store cannot be used: {text}", cure)
