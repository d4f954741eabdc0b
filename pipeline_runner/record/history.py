"""What a state folder tells of its runs: read only, and quick however many calls they had.

A run may have been resumed: it is told as its last try left it, in which earlier tries' calls are reused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from time import time

from pipeline_runner.axes import Status
from pipeline_runner.calls import Pack
from pipeline_runner.classes import dataclass, replace
from pipeline_runner.errors import UsageError, did_you_mean
from pipeline_runner.events import Event, Printed, RunEnded, RunStarted, StageEnded
from pipeline_runner.record.codec import decode
from pipeline_runner.record.counted import unpacked
from pipeline_runner.record.errors import store_error
from pipeline_runner.record.large import stored
from pipeline_runner.record.owner import owner
from pipeline_runner.record.seal import intact
from pipeline_runner.record.sqlite import sqlite3
from pipeline_runner.record.store import Store
from pipeline_runner.state import RunState
from pipeline_runner.typed import Any

LAST = "last"
# As the index has it: SQLite uses a partial index where it finds its words again.
_TOLD = "run = ? AND kind <> 'Printed'"


@dataclass(frozen=True)
class Told:
    """A run in one line."""

    run: str
    began: float  # seconds since the epoch
    about: Mapping[str, Any]  # what it was given, as the journal has it
    status: Status | None  # None: it is at work
    took_s: float  # so far, or until its last sign of life
    done: int
    failed: int
    tries: int  # how often it was started

    @property
    def pipeline(self) -> str:
        return str(self.about.get("pipeline", ""))

    @property
    def owes(self) -> bool:
        """Whether a resume would have something to do."""
        return self.status not in (None, Status.DONE)


@dataclass(frozen=True)
class Row:
    """Calls first to stop of a stage that ended well, with their values where they were kept."""

    seq: int  # in the order in which they came
    first: int
    stop: int
    recipe: bytes
    digests: bytes | None
    pack: Pack | None

    def digest(self, index: int) -> bytes | None:
        at = 8 * (index - self.first)
        return None if self.digests is None else self.digests[at : at + 8]

    def after(self, first: int) -> Row:
        """What of it begins at this call or later."""
        cut = first - self.first
        digests = None if self.digests is None else self.digests[8 * cut :]
        pack = None if self.pack is None else self.pack._replace(start=self.pack.start + cut)
        return replace(self, first=first, digests=digests, pack=pack)

    def before(self, stop: int) -> Row:
        """What of it ends before this call."""
        calls = stop - self.first
        digests = None if self.digests is None else self.digests[: 8 * calls]
        pack = None if self.pack is None else self.pack._replace(stop=self.pack.start + calls)
        return replace(self, stop=stop, digests=digests, pack=pack)


class UnknownRun(UsageError):
    """No run, or more than one, goes by this name."""

    def __init__(self, word: str, matching: Sequence[str], known: Sequence[str], folder: Path) -> None:
        super().__init__(word)
        self.word, self.matching, self.known, self.folder = word, tuple(matching), tuple(known), folder

    def __str__(self) -> str:
        if self.matching:
            shown = "".join(f"\n    {run}" for run in self.matching[:5])
            more = f"\n    and {len(self.matching) - 5} more" if len(self.matching) > 5 else ""
            return f'{len(self.matching)} runs begin with "{self.word}"\n  write more of one of them:{shown}{more}'
        guess = did_you_mean(self.word, self.known)
        return f'there is no run "{self.word}" in {self.folder}{guess}\n  {newest(self.known)}'


def newest(runs: Sequence[str]) -> str:
    """Where people look who name a run that there is not. `runs`: the newest first."""
    if not runs:
        return "no run is kept there"
    return f'the last are {", ".join(runs[:3])}\n  `prun runs` lists them all; "last" is the newest'


class UnknownCall(UsageError):
    """A run has no such stage, or a stage no such item."""

    def __init__(self, run: str, stage: str, stages: Sequence[str], item: int | None = None, calls: int = 0) -> None:
        super().__init__(stage)
        self.run, self.stage, self.stages, self.item, self.calls = run, stage, tuple(stages), item, calls

    def __str__(self) -> str:
        if self.item is None:
            guess = did_you_mean(self.stage, self.stages)
            known = ", ".join(self.stages)
            return f'run {self.run} has no stage "{self.stage}"{guess}\n  its stages are: {known}'
        if self.calls == 1:
            return f'stage "{self.stage}" of run {self.run} has no item {self.item}\n  it has one: 0'
        has = f"it has {self.calls}: 0 to {self.calls - 1}" if self.calls else "it has none"
        return f'stage "{self.stage}" of run {self.run} has no item {self.item}\n  {has}'


class History:
    """The runs of a store. Errors: StoreError when it cannot be read."""

    def __init__(self, store: Store, connection: sqlite3.Connection | None = None) -> None:
        """With a connection, whatever is asked is asked of it; else each question has one of its own."""
        self.store = store
        self._connection = connection
        self._recipes: dict[str, Mapping[str, str]] = {}  # of each run's stages, once they were asked for

    def names(self) -> list[str]:
        """The names of all runs, the newest first."""
        return [str(run) for (run,) in self._rows("SELECT id FROM run ORDER BY began DESC, id DESC")]

    def find(self, word: str) -> str:
        """The run that is meant: its name, the beginning of it, or `last`. Errors: UnknownRun."""
        names = self.names()
        matching = names[:1] if word == LAST else [name for name in names if name.startswith(word)]
        if word in matching:
            return word
        if len(matching) != 1:
            raise UnknownRun(word, matching, names, self.store.folder)
        return matching[0]

    def before(self, run: str) -> str | None:
        """The run of the same pipeline that began last before this one, or None."""
        found = self._rows("SELECT id, body FROM run ORDER BY began DESC, id DESC")
        ran = [(str(other), _object(body).get("identity")) for other, body in found]
        names = [other for other, _ in ran]
        of = dict(ran)
        return next((other for other in names[names.index(run) + 1 :] if of[other] == of[run]), None)

    def runs(self) -> list[Told]:
        """Every run in a line, the newest first."""
        found = self._rows("SELECT id, began, body FROM run ORDER BY began DESC, id DESC")
        return [self._told(str(run), float(began), _object(body)) for run, began, body in found]

    def told(self, run: str) -> Told:
        """One run in a line. `run` is one of `names()`."""
        ((began, body),) = self._rows("SELECT began, body FROM run WHERE id = ?", run)
        return self._told(run, float(began), _object(body))

    def state(self, run: str) -> RunState:
        """What was true of the run at the end of its last try, or is now: the fold of its events."""
        told = self.told(run)
        since, _ = self._tries(run)
        state = RunState()
        state.take(self._beginning(told, since))
        for event in self._events(f"{_TOLD} AND seq > ?", run, since):
            if getattr(event, "stage", None) in (None, *state.stages):
                if isinstance(event, StageEnded) and event.done is not None:
                    state.stages[event.stage].done = event.done
                state.take(event)
        for name, stage in state.stages.items():
            if stage.status is None and stage.started:
                stage.done = self._done_so_far(run, name)
        _count_on_the_way(state)
        state.status, state.seconds = told.status, told.took_s
        return state

    def tried(self, run: str) -> int:
        """The number of the event that began its last try: of a run that has ended, nothing changes without it."""
        return self._tries(run)[0]

    def at_work_s(self, run: str) -> float:
        """Since when a run is at work, in seconds."""
        since, _ = self._tries(run)
        return max((time() - event.at for event in self._events("seq = ?", since)), default=0.0)

    def events(self, run: str) -> Iterator[Event]:
        """What happened in its last try, without what was printed. Empty where nothing of it can be read."""
        since, _ = self._tries(run)
        yield from self._events(f"{_TOLD} AND seq >= ?", run, since)

    def lines(self, run: str, stage: str | None = None, item: int | None = None) -> Iterator[Printed]:
        """What the run's calls printed, in the order in which it was heard. A pipeline in it means its stages."""
        where, given = _printed(run, stage, item)
        yield from (event for event in self._events(where, *given) if isinstance(event, Printed))

    def last_lines(self, run: str, stage: str | None, item: int | None, most: int) -> list[tuple[int, Printed]]:
        """The last so many of `lines`, each with a number by which it is known again."""
        where, given = _printed(run, stage, item)
        table = "event"
        if item is None:  # from the end backwards: by an index all lines of the run would be read, and sorted
            table = "event NOT INDEXED"
            first = self._count(f"SELECT min(seq) FROM event WHERE {_TOLD}", run)
            where, given = f"{where} AND seq >= ?", [*given, first]
        found = self._rows(f"SELECT seq, kind, body FROM {table} WHERE {where} ORDER BY seq DESC LIMIT ?", *given, most)
        told = [(int(seq), event) for seq, kind, body in found for event in _decoded(kind, body)]
        return [(seq, event) for seq, event in reversed(told) if isinstance(event, Printed)]

    def given(self, run: str, stage: str, item: int) -> bytes | None:
        """What a call that failed was given, as it was sent; None where that was not kept, or was touched."""
        found = self._rows(
            "SELECT data, seal FROM given WHERE run = ? AND stage = ? AND item = ? ORDER BY rowid DESC LIMIT 1",
            *(run, stage, item),
        )
        intacts = (data for data, seal in found if intact(self.store.key, seal, run, stage, item, data))
        return next(intacts, None)

    def row(self, run: str, stage: str, item: int) -> Row | None:
        """The newest intact row that has this call; None where it did not end well, or has none."""
        where = "first <= ? AND first + calls > ? ORDER BY seq DESC"
        recipe = self._recipe(run, stage)
        return next((row for row in self._values(run, stage, where, item, item) if row.recipe == recipe), None)

    def rows(self, run: str, stage: str, *, as_they_came: bool, calls: int | None = None) -> list[Row]:
        """All that is kept of a stage, as `each` gives it, at once."""
        rows = list(self.each(run, stage, calls=calls))
        return sorted(rows, key=lambda row: row.seq) if as_they_came else rows

    def each(self, run: str, stage: str, *, calls: int | None = None) -> Iterator[Row]:
        """What is kept of a stage under the recipe that it had last, in the order of its calls and no call twice; with
        `calls`, only of the first so many: an earlier try may have had more items."""
        stop = 0
        for row in self._values(run, stage, "recipe = ? ORDER BY first, seq DESC", self._recipe(run, stage)):
            end = row.stop if calls is None else min(row.stop, calls)
            if end > max(stop, row.first):
                yield row.before(end).after(max(row.first, stop))
                stop = end

    def _recipe(self, run: str, stage: str) -> bytes:
        """The recipe that a stage had in the last try: it may be an older one again, whose calls were not made anew."""
        if run not in self._recipes:
            ((body,),) = self._rows("SELECT body FROM run WHERE id = ?", run)
            self._recipes[run] = _object(body).get("recipes", {})
        last = self._recipes[run].get(stage)
        kept = self._rows("SELECT recipe FROM done WHERE run = ? AND stage = ? ORDER BY seq DESC", run, stage)
        recipes = (recipe for (recipe,) in kept if isinstance(recipe, bytes))
        return next((recipe for recipe in recipes if last is None or recipe.hex() == last), b"")

    def _told(self, run: str, began: float, about: Mapping[str, Any]) -> Told:
        since, tries = self._tries(run)
        ended = list(self._events(f"{_TOLD} AND kind = 'RunEnded' AND seq > ?", run, since))
        end = ended[-1] if ended else None
        status: Status | None
        if isinstance(end, RunEnded):
            status, took_s = end.status, end.took_s
        else:
            at_work = owner(self.store, str(about.get("identity", "")))
            status = None if at_work is not None and run == at_work.run else Status.INTERRUPTED
            took_s = self._so_far(run, since)
        failed = self._count(
            f"SELECT count(*) FROM event WHERE {_TOLD} AND kind = 'CallFailed' AND seq > ?", run, since
        )
        return Told(run, began, about, status, took_s, self._done(run, about, since), failed, tries)

    def _tries(self, run: str) -> tuple[int, int]:
        """The number of the event that began the last try, and how many tries there were."""
        ((since, tries),) = self._rows(
            f"SELECT max(seq), count(*) FROM event WHERE {_TOLD} AND kind = 'RunStarted'", run
        )
        return (since or 0), tries

    def _beginning(self, told: Told, since: int) -> Event:
        for event in self._events("seq = ?", since):
            if isinstance(event, RunStarted):
                return event
        stages = tuple(told.about.get("recipes", ()))  # it was damaged: what is known of it otherwise
        workers = int(told.about.get("workers", 0))
        return RunStarted(run=told.run, pipeline=told.pipeline, workers=workers, stages=stages, at=told.began)

    def _done(self, run: str, about: Mapping[str, Any], since: int) -> int:
        """Calls that ended well: as stages told at their end, else by the rows of those that did not come to it."""
        ended = self._events(f"{_TOLD} AND kind = 'StageEnded' AND seq > ?", run, since)
        counts = {e.stage: e.done for e in ended if isinstance(e, StageEnded) and e.done is not None}
        left = [name for name in about.get("recipes", ()) if name not in counts]
        return sum(counts.values()) + sum(self._done_so_far(run, name) for name in left)

    def _done_so_far(self, run: str, stage: str) -> int:
        """Calls that rows of its newest recipe have, none of them twice: it may have been kept again, with another
        item."""
        newest = "SELECT recipe FROM done WHERE run = ? AND stage = ? ORDER BY seq DESC LIMIT 1"
        kept = (
            f"SELECT first, first + calls FROM done WHERE run = ? AND stage = ? AND recipe = ({newest}) ORDER BY first"
        )
        done = end = 0
        for first, stop in self._rows(kept, run, stage, run, stage):
            done += max(0, stop - max(first, end))
            end = max(end, stop)
        return done

    def _so_far(self, run: str, since: int) -> float:
        """From the beginning of the last try to the last that is known of it."""
        last = self._count(f"SELECT max(seq) FROM event WHERE {_TOLD}", run)
        first, newest = (list(self._events("seq = ?", seq)) for seq in (since, last))
        return max(0.0, newest[0].at - first[0].at) if first and newest else 0.0

    def _values(self, run: str, stage: str, where: str, *given: Any) -> Iterator[Row]:
        found = self._rows(
            "SELECT seq, recipe, first, calls, digests, data, file, start, seal FROM done"
            f" WHERE run = ? AND stage = ? AND {where}",
            *(run, stage, *given),
        )
        for seq, recipe, first, calls, told, body, file, start, seal in found:
            data, large, whole = stored(self.store, body, file if isinstance(file, str) else None)
            if whole and intact(self.store.key, seal, run, stage, recipe, first, calls, told, data, file, start):
                pack = None if data is None else Pack(data, start, start + calls, large=large)
                digests = None if told is None else unpacked(told, calls)
                yield Row(seq, first, first + calls, recipe, digests, pack)

    def _events(self, where: str, *given: Any) -> Iterator[Event]:
        for kind, body in self._rows(f"SELECT kind, body FROM event WHERE {where} ORDER BY seq", *given):
            yield from _decoded(kind, body)

    def _count(self, statement: str, *given: Any) -> int:
        return next((int(number or 0) for (number,) in self._rows(statement, *given)), 0)

    def _rows(self, statement: str, *given: Any) -> Iterator[Any]:
        try:
            with nullcontext(self._connection) if self._connection else closing(self.store.connect()) as connection:
                yield from connection.execute(statement, given)
        except sqlite3.Error as error:
            raise store_error(self.store.database, error) from error


def _printed(run: str, stage: str | None, item: int | None) -> tuple[str, list[Any]]:
    """Which rows are lines that calls printed, and what is given to ask for them."""
    where, given = "run = ? AND kind = 'Printed'", [run]
    if stage is not None:
        where = f"{where} AND (stage = ? OR substr(stage, 1, length(?) + 1) = ? || '.')"
        given += [stage] * 3
    if item is not None:
        where, given = f"{where} AND item = ?", [*given, str(item)]
    return where, given


def _count_on_the_way(state: RunState) -> None:
    """Of stages that make one trip together, only what the last one gave is written down before all have ended: what
    has come out of it has been through the others."""
    through: dict[str | None, int] = {}
    for name, stage in reversed(state.stages.items()):
        head = stage.fused_into or name
        if stage.started and stage.status is None:
            stage.done = max(stage.done, through.get(head, 0))
            through[head] = stage.done + stage.failed


def _decoded(kind: str, body: str) -> list[Event]:
    try:
        return decode(kind, body)
    except (ValueError, LookupError):  # damaged: what it told is not known any more
        return []


def _object(body: str) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
