"""A damaged database: what can be read of it goes into a new one, and the old one is set aside to be looked at.

Nothing that comes over has to be believed: each row of values has its seal.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from pipeline_runner.classes import dataclass
from pipeline_runner.record.errors import UNREADABLE
from pipeline_runner.record.sqlite import sqlite3
from pipeline_runner.typed import Any

_TABLES = ("run", "recipe", "event", "done", "given", "out")  # what is in `file` can be read again
_WITHOUT_NUMBERS = ("run", "recipe", "out")
_LEAST = 16  # bytes of a row; so many rows can be in a file whose tables cannot say it themselves
_PATIENCE_S = 5.0  # for a table in which there is damage after damage


@dataclass(frozen=True)
class Salvage:
    """What has become of a damaged database."""

    aside: Path  # where the old one is
    rows: int  # of values, that were brought over


def create(path: Path) -> None:
    """An empty file that only we may read, which SQLite takes for an empty database."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def statements() -> list[str]:
    """What makes our tables."""
    script = Path(__file__).with_name("schema.sql").read_text()
    lines = [line.partition("--")[0] for line in script.splitlines()]
    return [statement for statement in "\n".join(lines).split(";") if statement.strip()]


def salvage(database: Path) -> Salvage:
    """Put a new database in the place of a damaged one. Killed at any moment, it begins again or `finish` ends it.

    Errors: OSError, sqlite3.Error when the new one cannot be written.
    """
    new, old = database.with_name("salvage.db"), database.with_name("mending.db")
    for path in (new, old):
        _remove(path)
    # SQLite writes into whatever it opens, and a first page may have to be mended: the damaged one stays as it is.
    for suffix in ("", "-wal"):
        if (path := _beside(database, suffix)).exists():
            from shutil import copyfile

            create(_beside(old, suffix))
            copyfile(path, _beside(old, suffix))
    rows = _bring_over(old, new)
    _remove(old)
    os.replace(new, _whole(database))
    return Salvage(finish(database) or database, rows)


def finish(database: Path) -> Path | None:
    """Put what was salvaged in its place, if it waits for that. Gives where the damaged one is now."""
    whole = _whole(database)
    if not whole.exists():
        return None
    aside = database.with_name(f"damaged-{time.strftime('%Y%m%d-%H%M%S')}-{time.monotonic_ns() % 10**6}.db")
    # Its log first: in front of another database it would be taken for that one's.
    for suffix in ("-wal", "-shm", ""):
        path = _beside(database, suffix)
        if path.exists():
            path.replace(_beside(aside, suffix))
    os.replace(whole, database)
    return aside


def _whole(database: Path) -> Path:
    return database.with_name("salvaged.db")


def _beside(database: Path, suffix: str) -> Path:
    return database.with_name(database.name + suffix)


def _remove(database: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        _beside(database, suffix).unlink(missing_ok=True)


def _bring_over(database: Path, new: Path) -> int:
    create(new)
    with closing(sqlite3.connect(new, isolation_level=None)) as into:
        for statement in statements():
            into.execute(statement)
        into.execute("BEGIN")
        if not _readable(database):
            _mend_first_page(database, new)
        kept = 0
        with closing(sqlite3.connect(database, isolation_level=None)) as old:
            for table in _TABLES:
                for row in _rows(old, table, database.stat().st_size // _LEAST):
                    try:
                        into.execute(f"INSERT OR IGNORE INTO {table} VALUES ({', '.join('?' * len(row))})", row)
                    except sqlite3.IntegrityError:
                        continue  # a part of it is missing
                    kept += table == "done"
        into.execute("COMMIT")
    return kept


def _readable(database: Path) -> bool:
    """Whether SQLite finds the tables at all."""
    try:
        with closing(sqlite3.connect(database)) as old:
            names = {name for (name,) in old.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            return names >= {"run", "recipe", "event", "done", "given"}  # what every format has
    except UNREADABLE:
        return False


def _mend_first_page(database: Path, new: Path) -> None:
    """The first page says where the tables begin, and that is the same in every database of ours: take the new one's.

    Its number of pages is marked as not to be believed, so that SQLite asks for the file's size.
    """
    with closing(sqlite3.connect(new)) as fresh:
        (size,) = fresh.execute("PRAGMA page_size").fetchone()
    page = bytearray(new.read_bytes()[:size])
    if len(page) < size or database.stat().st_size < size:
        return
    page[92:96] = b"\0\0\0\0"
    page[18:20] = b"\2\2"  # it has a log beside it
    with database.open("r+b") as file:
        file.write(page)


def _rows(old: sqlite3.Connection, table: str, most: int) -> Iterator[tuple[Any, ...]]:
    if table in _WITHOUT_NUMBERS:
        try:
            yield from old.execute(f"SELECT * FROM {table}")
        except UNREADABLE:
            return
        return
    spans = [(1, min(_last(old, table), most))]
    until = time.monotonic() + _PATIENCE_S
    while spans and time.monotonic() < until:
        low, high = spans.pop()
        try:
            for number, *row in old.execute(
                f"SELECT rowid, * FROM {table} WHERE rowid BETWEEN ? AND ? ORDER BY rowid", (low, high)
            ):
                low = number + 1
                yield tuple(row)
        except UNREADABLE:
            if low < high:  # the rest in two halves, until what is damaged stands alone
                middle = (low + high) // 2
                spans += [(middle + 1, high), (low, middle)]


def _last(old: sqlite3.Connection, table: str) -> int:
    try:
        (last,) = old.execute(f"SELECT max(rowid) FROM {table}").fetchone()
    except UNREADABLE:
        return 1 << 62
    return last if isinstance(last, int) else 0
