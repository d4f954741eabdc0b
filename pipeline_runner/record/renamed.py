"""Stages that were renamed since a run's last try: what they have done moves to the name that they have now.

A stage is known again by its recipe, in which no name has a part. Only names that the pipeline does not have any more
lose their rows, and only stages that have none of their own get them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing

from pipeline_runner.classes import dataclass
from pipeline_runner.record.errors import usable
from pipeline_runner.record.seal import intact, seal
from pipeline_runner.record.sqlite import sqlite3
from pipeline_runner.record.store import Store
from pipeline_runner.spec.pipeline import StageName


@dataclass(frozen=True)
class Renamed:
    """Calls of a stage that go on under another name."""

    stage: StageName
    was: str
    calls: int


def follow_names(
    store: Store, run: str, keys: Mapping[StageName, bytes | None], before: Sequence[str]
) -> list[Renamed]:
    """Move what renamed stages have done, all of it or, when this is broken off, nothing.

    `before`: the stages of the last try, in their order; of several that compute the same, the first is the first.
    Errors: StoreError.
    """
    with usable(store.database), closing(store.connect()) as connection:
        pairs = _pairs(_stages(connection, run), keys, before)
        if not pairs:
            return []
        connection.execute("BEGIN IMMEDIATE")
        moved = [Renamed(now, was, _move(store, connection, run, was, now, key)) for now, was, key in pairs]
        connection.execute("COMMIT")
        return moved


def _stages(connection: sqlite3.Connection, run: str) -> list[tuple[str, bytes]]:
    found = connection.execute("SELECT DISTINCT stage, recipe FROM done WHERE run = ?", (run,))
    return [(stage, recipe) for stage, recipe in found if isinstance(stage, str)]


def _pairs(
    kept: Sequence[tuple[str, bytes]], keys: Mapping[StageName, bytes | None], before: Sequence[str]
) -> list[tuple[StageName, str, bytes]]:
    """Which stage goes on with what of which other."""
    places = {name: place for place, name in enumerate(before)}
    gone = sorted((places.get(stage, len(places)), stage, key) for stage, key in kept if stage not in keys)
    pairs: list[tuple[StageName, str, bytes]] = []
    for name, key in keys.items():
        found = next((one for one in gone if one[2] == key), None)
        if key is not None and found is not None and (name, key) not in kept:
            gone.remove(found)
            pairs.append((name, found[1], key))
    return pairs


def _move(store: Store, connection: sqlite3.Connection, run: str, was: str, now: str, key: bytes) -> int:
    """Give intact rows the new name, and the seal that goes with it. A damaged one is nothing, here as anywhere."""
    moved = 0
    numbers = connection.execute("SELECT seq FROM done WHERE run = ? AND stage = ? AND recipe = ?", (run, was, key))
    for (seq,) in numbers.fetchall():  # not their values, which may be more than fits
        first, calls, digests, body, file, start, stored = connection.execute(
            "SELECT first, calls, digests, data, file, start, seal FROM done WHERE seq = ?", (seq,)
        ).fetchone()
        data = store.read_value(file) if isinstance(file, str) else body
        parts = (key, first, calls, digests, data, file, start)
        if intact(store.key, stored, run, was, *parts):
            mark = seal(store.key, run, now, *parts)
            connection.execute("UPDATE done SET stage = ?, seal = ? WHERE seq = ?", (now, mark, seq))
            moved += calls
    return moved
