"""The journal of one run: it hears every event before anyone else does, and keeps each value before it is told.

Everything that one turn of the engine's loop has brought is one transaction, committed before
anybody else hears of it: a turn under load brings many chunks, so the commits grow with the load.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence

from pipeline_runner.buffers import Buffers
from pipeline_runner.calls import Pack
from pipeline_runner.events import (
    CallsDone,
    CallsReused,
    ChunkEnded,
    ChunkStarted,
    Event,
    RunStarted,
    StageEnded,
    StageStarted,
)
from pipeline_runner.record.codec import encode
from pipeline_runner.record.counted import packed
from pipeline_runner.record.errors import damaged, store_error, usable
from pipeline_runner.record.files import Memory
from pipeline_runner.record.given import sealed
from pipeline_runner.record.recipe import Recipe
from pipeline_runner.record.seal import seal
from pipeline_runner.record.sqlite import sqlite3
from pipeline_runner.record.store import INLINE, Store
from pipeline_runner.spec.pipeline import StageName
from pipeline_runner.typed import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pipeline_runner.record.outs import Row

AT_ONCE = 512  # recipes that are asked for together
SHARED = 1 << 12  # bytes of a chunk's values that a run which adopts some of them has in the database itself


class Kept(NamedTuple):
    """A value as a row of `done` has it."""

    data: bytes | None  # the pickled list; in the row itself, or alone in the file
    large: Buffers | None  # what of it is not in `data`: then that is in the row, and these in the file
    file: str | None


_EVENT = "INSERT INTO event (run, kind, stage, item, body) VALUES (?, ?, ?, ?, ?)"
# What chunks do is told by the rows of `done`; a row for each of their events would double the journal.
_TOLD_ELSEWHERE = (CallsDone, ChunkStarted, ChunkEnded)


class Journal:
    """Owned by the engine's thread. Errors: StoreError from every method, when the folder cannot be written."""

    def __init__(self, store: Store, run: str, about: Mapping[str, Any], recipes: Mapping[StageName, Recipe]) -> None:
        self._store = store
        self._run = run
        self._about = about
        self._recipes = recipes
        self._keys = {name: recipe.key for name, recipe in recipes.items()}
        self._rows: dict[str, list[tuple[Any, ...]]] = {}  # that are not written yet, by the statement that writes them
        self._begun: dict[StageName, list[Event]] = {}  # in this turn, how they began: their ends may tell it
        self._in_files: set[str] = set()  # values that this run has put into files
        self._connection = store.connect()
        self._inode = os.stat(store.database).st_ino

    def take(self, event: Event) -> None:
        """Write an event down."""
        if isinstance(event, _TOLD_ELSEWHERE):
            return
        if isinstance(event, RunStarted):
            self._begin(event.at)
        stage: Any = getattr(event, "stage", None)
        if isinstance(event, StageStarted):
            self._begun[stage] = [event]
        elif isinstance(event, CallsReused) and stage in self._begun:
            self._begun[stage].append(event)
        elif isinstance(event, StageEnded):
            self._event(event, stage, self._begun.pop(stage, ()))
        else:
            self._told_so_far(stage)
            self._event(event, stage)

    def _told_so_far(self, stage: StageName | None = None) -> None:
        """Write down what waited for the end of a stage, or of any, since something else comes first."""
        for name in [stage] if stage is not None else list(self._begun):
            for event in self._begun.pop(name, ()):
                self._event(event, name)

    def _event(self, event: Event, stage: StageName | None, before: Sequence[Event] = ()) -> None:
        self._insert(
            _EVENT, (self._run, type(event).__name__, stage, getattr(event, "index", None), encode(event, before))
        )

    def keep(
        self,
        stage: StageName,
        indices: Sequence[int],
        digests: bytes | None,
        data: bytes | None,
        large: Buffers | None = None,
    ) -> None:
        """Write down that these calls ended well, with their values: `data` is the pickled list of them, or None, and
        `large` what of them is not in it.

        `digests` has 8 bytes a call. Nothing is kept of a stage without a recipe: it could not be known again.
        """
        recipe = self._keys.get(stage)
        if recipe is None:
            return
        file = self._file(data, large, INLINE)
        at = 0
        for first, calls in _runs(indices):
            part = None if digests is None else digests[8 * at : 8 * (at + calls)]
            self._done(stage, recipe, range(first, first + calls), part, Kept(data, large, file), at)
            at += calls

    def adopt(self, stage: StageName, numbers: range, digests: bytes | None, values: Pack | None) -> None:
        """Write down that these calls need not be made, since another run has made them. Their values are this run's
        own from then on, whatever becomes of the other."""
        recipe = self._keys.get(stage)
        if recipe is None:
            return
        data, large = (None, None) if values is None else (values.data, values.large)
        start = 0 if values is None else values.start
        # In a file also where it would fit: other calls of the same chunk may be adopted apart from these and share it.
        file = self._file(data, large, SHARED)
        self._done(stage, recipe, numbers, digests, Kept(data, large, file), start)

    def _done(
        self,
        stage: StageName,
        recipe: bytes,
        numbers: range,
        digests: bytes | None,
        kept: Kept,
        start: int,
    ) -> None:
        first, calls = numbers.start, len(numbers)
        told = None if digests is None else packed(digests)
        mark = seal(self._store.key, self._run, stage, recipe, first, calls, told, kept.data, kept.file, start)
        body = None if kept.file and kept.large is None else kept.data
        self._insert(
            "INSERT INTO done (run, stage, recipe, first, calls, digests, data, file, start, seal)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (self._run, stage, recipe, first, calls, told, body, kept.file, start, mark),
        )

    def _file(self, data: bytes | None, large: Buffers | None, inline: int) -> str | None:
        """The file of a value: of its large buffers, or of all of it where that is more than `inline`."""
        if large is not None:
            from pipeline_runner.record.large import file_of

            try:
                return file_of(self._store, large)
            except OSError as error:
                raise store_error(self._store.values, error) from error
        return None if data is None or len(data) <= inline else self._in_a_file(data)

    def _in_a_file(self, data: bytes) -> str:
        """Where a value is that is too large for the database, or shared."""
        from hashlib import sha256  # OpenSSL's, for what is large

        name = sha256(data).hexdigest()
        file = f"{name[:2]}/{name}"
        if file in self._in_files:
            return file
        self._in_files.add(file)
        try:
            self._store.write_value(file, data)
        except OSError as error:
            raise store_error(self._store.values, error) from error
        return file

    def wrote(self, row: Row) -> None:
        """Write down what is in a file that a call has written."""
        self._insert("INSERT OR REPLACE INTO out (path, recipe, key, digest, seal) VALUES (?, ?, ?, ?, ?)", row)

    def remember(self, read: Sequence[Memory]) -> None:
        """Write down what was in files that were read."""
        for row in read:
            self._insert("INSERT OR REPLACE INTO file (path, look, digest, seal) VALUES (?, ?, ?, ?)", row)

    def given(self, stage: StageName, item: int, payload: bytes) -> None:
        """Write down what a call was given that has failed for good, for `prun replay`."""
        mark = seal(self._store.key, self._run, stage, item, payload)
        self._insert(
            "INSERT INTO given (run, stage, item, data, seal) VALUES (?, ?, ?, ?, ?)",
            (self._run, stage, item, payload, mark),
        )

    def commit(self) -> None:
        """What was written since the last commit is now there whatever happens."""
        self._told_so_far()
        if not self._rows:
            return
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for statement, rows in self._rows.items():
                self._connection.executemany(statement, rows)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if damaged(error):
                self._store.distrust()
            raise store_error(self._store.database, error) from error
        except BaseException:  # Ctrl-C in a notebook: whoever closes the journal writes all of it again
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        self._rows.clear()

    @property
    def taken(self) -> bool:
        """Whether the file that is written to is no longer the one of that name."""
        try:
            return os.stat(self._store.database).st_ino != self._inode
        except OSError:
            return True

    def close(self) -> None:
        self.commit()
        self._connection.close()

    def abandon(self) -> None:
        """Close without a word: the folder cannot be written."""
        self._connection.close()

    def _begin(self, at: float) -> None:
        recipes = {name: key and key.hex() for name, key in self._keys.items()}
        self._insert(
            # Of a run that is resumed, what it was given last: that is what it goes on with the next time.
            "INSERT INTO run (id, began, body) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body",
            (self._run, at, json.dumps(sealed(self._store.key, self._run, {**self._about, "recipes": recipes}))),
        )
        for name in self._unknown():
            row = self._keys[name], json.dumps(dict(self._recipes[name].parts))
            self._insert("INSERT OR IGNORE INTO recipe VALUES (?, ?)", row)

    def _unknown(self) -> list[StageName]:
        """Stages whose recipes are not in the store yet."""
        keys = [key for key in self._keys.values() if key is not None]
        known: set[bytes] = set()
        with usable(self._store.database):
            for at in range(0, len(keys), AT_ONCE):
                some = keys[at : at + AT_ONCE]
                question = f"SELECT key FROM recipe WHERE key IN ({', '.join('?' * len(some))})"
                known.update(key for (key,) in self._connection.execute(question, some))
        return [name for name, key in self._keys.items() if key is not None and key not in known]

    def _insert(self, statement: str, row: tuple[Any, ...]) -> None:
        self._rows.setdefault(statement, []).append(row)


def _runs(indices: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Neighbouring numbers together, in the order given: (first, how many)."""
    if isinstance(indices, range):
        yield indices.start, len(indices)
        return
    start = 0
    for at in range(1, len(indices) + 1):
        if at == len(indices) or indices[at] != indices[at - 1] + 1:
            yield indices[start], at - start
            start = at
