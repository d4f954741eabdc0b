"""Drops runs of a store, with the values that nobody needs any more. Never a run that is at work."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from pipeline_runner.classes import dataclass
from pipeline_runner.record.errors import store_error
from pipeline_runner.record.files import forget_missing
from pipeline_runner.record.history import History, Told
from pipeline_runner.record.locks import Locked
from pipeline_runner.record.owner import owner
from pipeline_runner.record.plans import forget
from pipeline_runner.record.sqlite import sqlite3
from pipeline_runner.record.store import Store
from pipeline_runner.worker.outs import sweep_below

AT_ONCE = 5_000  # rows that are deleted in one transaction: a run that is at work must not wait long for its turn
_TABLES = ("event", "done", "given")


@dataclass(frozen=True)
class Cleaned:
    """What was done."""

    dropped: tuple[str, ...]
    at_work: tuple[str, ...]  # that were to be dropped, and are still being run
    kept: int
    freed_bytes: int
    swept: bool  # False: a run is at work, so files were left where they are


def chosen(
    runs: Sequence[Told],
    *,
    named: Sequence[str] = (),
    keep: int | None = None,
    older_than: float | None = None,
    beyond: Collection[str] | None = None,
) -> list[Told]:
    """The runs to drop: those named; with `keep`, all but the newest so many of each pipeline; with `older_than`,
    those that began before that moment; with `beyond`, those of them. Several: only what all mean. `runs` come newest
    first."""
    dropped = [told for told in runs if told.run in named]
    if keep is None and older_than is None and beyond is None:
        return dropped
    seen: dict[object, int] = {}
    for told in runs:
        pipeline = told.about.get("identity")
        seen[pipeline] = seen.get(pipeline, 0) + 1
        spared = (keep is not None and seen[pipeline] <= keep) or (older_than is not None and told.began >= older_than)
        spared = spared or (beyond is not None and told.run not in beyond)
        if not spared and told not in dropped:
            dropped.append(told)
    return dropped


def beyond(history: History, runs: Sequence[Told], most_bytes: int) -> set[str]:
    """The oldest runs, without which the others take no more than so many bytes, about. The newest stays in any case.

    A file of values that several runs share is counted once. Errors: StoreError.
    """
    taken: dict[str, int] = {}
    files: dict[str, list[str]] = {}
    with _database(history.store) as connection:
        for table, column in (("done", "data"), ("event", "body"), ("given", "data")):
            for run, size in connection.execute(f"SELECT run, sum(length({column})) FROM {table} GROUP BY run"):
                taken[str(run)] = taken.get(str(run), 0) + (size or 0)
        for run, file in connection.execute("SELECT DISTINCT run, file FROM done WHERE file IS NOT NULL"):
            files.setdefault(str(run), []).append(str(file))
    counted: set[str] = set()
    so_far = 0
    dropped: set[str] = set()
    for told in runs:
        so_far += taken.get(told.run, 0)
        for file in set(files.get(told.run, ())) - counted:
            counted.add(file)
            with suppress(OSError):
                so_far += (history.store.values / file).stat().st_size
        if so_far > most_bytes and told is not runs[0]:
            dropped.add(told.run)
    return dropped


def clean(history: History, runs: Sequence[Told]) -> Cleaned:
    """Drop these runs, and whatever belongs to no run. Errors: StoreError."""
    store = history.store
    written = {str(folder) for told in history.runs() for folder in told.about.get("writes", ())}
    before = _size(store.folder)
    at_work = {told.run for told in runs if not _drop(store, told)}
    left = history.runs()
    swept = not any(told.status is None for told in left)
    if swept:
        _sweep(store, {told.run for told in left})
        for folder in written:
            sweep_below(folder)
    forget(store.folder)
    dropped = tuple(told.run for told in runs if told.run not in at_work)
    return Cleaned(dropped, tuple(sorted(at_work)), len(left), max(0, before - _size(store.folder)), swept)


def _drop(store: Store, told: Told) -> bool:
    """Forget a run; False when it is at work. Nobody can begin to resume it meanwhile."""
    identity = str(told.about.get("identity", ""))
    at_work = owner(store, identity)
    try:
        # Its pipeline may be at work on another run: then the lock is that runner's, and this run is nobody's.
        lock = None if at_work is not None else store.lock(identity, "")
    except Locked:
        return False
    try:
        if at_work is not None and at_work.run in (told.run, ""):
            return False
        with _database(store) as connection:
            # First of all its name: what is left by a clean that was broken off is nobody's, and the next one's.
            connection.execute("DELETE FROM run WHERE id = ?", (told.run,))
            _delete(connection, told.run)
        shutil.rmtree(store.folder / "runs" / told.run, ignore_errors=True)
        return True
    finally:
        if lock is not None:
            lock.release()


def _delete(connection: sqlite3.Connection, run: str) -> None:
    for table in _TABLES:
        statement = f"DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} WHERE run = ? LIMIT {AT_ONCE})"
        while connection.execute(statement, (run,)).rowcount > 0:
            pass


def _sweep(store: Store, runs: set[str]) -> None:
    """Take away what belongs to no run. Only while nobody is at work: a runner writes a value's file before its row."""
    with _database(store) as connection:
        for table in _TABLES:
            known = [str(run) for (run,) in connection.execute(f"SELECT DISTINCT run FROM {table}")]
            for run in set(known) - runs:
                _delete(connection, run)
        needed = {str(file) for (file,) in connection.execute("SELECT DISTINCT file FROM done WHERE file IS NOT NULL")}
        for path in store.values.glob("*/*"):
            if f"{path.parent.name}/{path.name}" not in needed:
                path.unlink(missing_ok=True)
        connection.execute("DELETE FROM recipe WHERE key NOT IN (SELECT recipe FROM done)")
        connection.execute("DELETE FROM out WHERE recipe NOT IN (SELECT recipe FROM done)")
        forget_missing(connection)
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for folder in (store.folder / "runs").glob("*"):
        if folder.name not in runs:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _database(store: Store) -> Iterator[sqlite3.Connection]:
    try:
        with closing(store.connect()) as connection:
            yield connection
    except (OSError, sqlite3.Error) as error:
        raise store_error(store.folder, error) from error


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
