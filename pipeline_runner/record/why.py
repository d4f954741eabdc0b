"""Why calls are made again: in what they differ from those that the store has."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from pipeline_runner.events import DepsRead
from pipeline_runner.record.codec import decode
from pipeline_runner.record.recipe import Change, Recipe
from pipeline_runner.record.sqlite import sqlite3


def why_not(connection: sqlite3.Connection, then: bytes, now: Recipe) -> tuple[str, ...]:
    """In what a recipe differs from one that the store has values of; nothing where it does not know that one."""
    if now.unknown:
        return (now.unknown,)
    row = connection.execute("SELECT parts FROM recipe WHERE key = ?", (then,)).fetchone()
    try:
        parts = json.loads(row[0]) if row is not None else None
    except ValueError:  # damaged: it is only told less well
        parts = None
    return tuple(map(str, now.changes(parts))) if isinstance(parts, dict) else ()


def last_read(connection: sqlite3.Connection, run: str, stage: str) -> tuple[tuple[str, str], ...] | None:
    """What was in the files that a stage's calls read, when it began last in this run."""
    row = connection.execute(
        "SELECT kind, body FROM event WHERE run = ? AND kind = 'DepsRead' AND stage = ? AND kind <> 'Printed'"
        " ORDER BY seq DESC LIMIT 1",
        (run, stage),
    ).fetchone()
    try:
        told = [] if row is None else decode(*row)
    except (ValueError, LookupError):
        return None
    return next((event.files for event in told if isinstance(event, DepsRead)), None)


def deps_changes(then: Iterable[tuple[str, str]], now: Iterable[tuple[str, str]]) -> Iterator[Change]:
    """Which files are not as they were."""
    old, new = dict(then), dict(now)
    for path in sorted({*old, *new}):
        if old.get(path) != new.get(path):
            yield Change(f"file {path}", old.get(path), new.get(path))
