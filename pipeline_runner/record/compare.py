"""What changed from one run to another, by what the journal has of both: nothing is run, imported or unpickled."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import count, takewhile

from pipeline_runner.classes import dataclass, field
from pipeline_runner.record.errors import usable
from pipeline_runner.record.history import History, Told
from pipeline_runner.record.items import Calls, Items, compared
from pipeline_runner.record.recipe import SOURCE, Recipe
from pipeline_runner.record.sqlite import sqlite3
from pipeline_runner.record.why import deps_changes, last_read
from pipeline_runner.spec.pipeline import StageName
from pipeline_runner.state import RunState, StageState
from pipeline_runner.typed import Any, NamedTuple

Pair = Mapping[str, Any]  # "then" and "now": what each run has; one that has nothing of the kind is left out


@dataclass(frozen=True)
class End:
    """How a stage ended in one run, or how it stands."""

    status: str
    method: str
    calls: int | None  # None: not known
    done: int
    failed: int
    retried: int
    seconds: float
    failures: Mapping[int, str]  # by item; -1: the stage as a whole


@dataclass(frozen=True)
class StageChange:
    """One stage in both runs."""

    name: str  # now; of one that is gone: then
    was: str  # its name then
    then: End | None  # None: it is new
    now: End | None  # None: it is gone
    recipe: str = "same"  # or "changed", or "unknown": what it computes could not be described in one of the runs
    why: tuple[str, ...] = ()  # "function work:scale has changed", …
    items: Items = field(default_factory=Items)

    @property
    def kind(self) -> str:
        if self.then is None:
            return "added"
        if self.now is None:
            return "removed"
        if self.name != self.was:
            return "renamed"
        return "changed" if self.otherwise else "same"

    @property
    def otherwise(self) -> bool:
        """Whether anything but its name and its time is not as it was."""
        told = [
            None if end is None else (end.status, end.method, end.calls, end.failed, end.retried, sorted(end.failures))
            for end in (self.then, self.now)
        ]
        items = self.items
        apart = (items.given, items.differ, items.only_then, items.only_now, self.why)
        return told[0] != told[1] or self.recipe == "changed" or any(apart)


@dataclass(frozen=True)
class Comparison:
    """Two runs, and all in which they differ."""

    then: Told
    now: Told
    params: Mapping[str, Pair]  # that differ
    options: Mapping[str, Pair]  # that differ: workers, profile, part, cache
    stages: Sequence[StageChange]  # all of them, in the order that they have now; those that are gone come last

    @property
    def pipelines(self) -> int:
        return 1 if self.then.about.get("identity") == self.now.about.get("identity") else 2

    @property
    def changed(self) -> bool:
        """Whether anything is not as it was, but the time that it took."""
        told = (self.params, self.options, self.pipelines > 1, self.then.status != self.now.status)
        return any(told) or any(stage.kind != "same" for stage in self.stages)


def compare(history: History, then: str, now: str) -> Comparison:
    """All in which one run differs from another. Errors: StoreError."""
    with usable(history.store.database), closing(history.store.connect()) as connection:
        history = History(history.store, connection)
        before, after = history.told(then), history.told(now)
        stages = list(_stages(history, connection, before, after))
    options = _differing(_options(before.about), _options(after.about))
    return Comparison(before, after, _params(before.about, after.about), options, stages)


# ---------------------------------------------------------------------------------------- what they were given


def _params(then: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Pair]:
    """Parameters that differ, each key of a mapping by itself. Where one run has kept only those that it was given,
    these of both."""
    which = "params" if "params" in then and "params" in now else "given"
    return _differing(*(dict(_flat(about.get(which, {}), "")) for about in (then, now)))


def _flat(params: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in params.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _options(about: Mapping[str, Any]) -> dict[str, Any]:
    parts = [word for part in about.get("parts", ()) for word in _words(part)]
    return {
        "workers": about.get("workers"),
        "profile": about.get("profile"),
        "part": " ".join(parts) or None,
        "cache": not about.get("uncached", False),
    }


def _words(part: Mapping[str, Any]) -> Iterator[str]:
    """A part of a pipeline, as it is asked for on the command line."""
    yield from part.get("stages", ())
    for key, option in (("until", "--until"), ("since", "--from"), ("only", "--only")):
        yield from (f"{option} {stage}" for stage in part.get(key, ()))
    if part.get("sample"):
        yield f"--sample {part['sample']}"


def _differing(then: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Pair]:
    sides = {"then": then, "now": now}
    names = dict.fromkeys([*now, *then])
    pairs = {name: {side: told[name] for side, told in sides.items() if name in told} for name in names}
    # As JSON: 1 is not 1.0, and not true.
    return {name: pair for name, pair in pairs.items() if len(pair) == 1 or len(set(map(_text, pair.values()))) == 2}


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


# ---------------------------------------------------------------------------------------- their stages


class _Stage(NamedTuple):
    """A stage in one run."""

    run: Told
    name: str
    end: End

    @property
    def key(self) -> str | None:
        return _keys(self.run).get(self.name)

    @property
    def calls(self) -> Calls:
        return Calls(self.run.run, self.name, self.end.calls, self.end.done)


def _stages(history: History, connection: sqlite3.Connection, then: Told, now: Told) -> Iterator[StageChange]:
    states = history.state(then.run), history.state(now.run)
    shown = {name for state in states for name, _ in state.told()}  # a hook that one of them had something to do for
    before, after = (_ends(told, state, shown) for told, state in zip((then, now), states, strict=True))
    names = _names(before, after, _keys(then), _keys(now))
    for name, end in after.items():
        was = names.get(name)
        if was is None:
            yield StageChange(name, name, None, end)
        else:
            yield _change(history, connection, _Stage(then, was, before[was]), _Stage(now, name, end))
    for name in before:
        if name not in names.values():
            yield StageChange(name, name, before[name], None)


def _ends(told: Told, state: RunState, shown: Collection[str]) -> dict[str, End]:
    begun = "unfinished" if told.status else "running"
    failures: dict[str, dict[int, str]] = defaultdict(dict)
    for failed in state.failures:
        failures[failed.stage][failed.index] = str(failed.failure)
    return {name: _end(stage, begun, failures[name]) for name, stage in state.stages.items() if name in shown}


def _end(stage: StageState, begun: str, failures: Mapping[int, str]) -> End:
    status = str(stage.status or (begun if stage.started else "not begun"))
    calls = stage.calls if stage.started or stage.done else 0
    return End(status, stage.method, calls, stage.done, stage.failed, stage.retried, stage.seconds, failures)


def _keys(told: Told) -> dict[str, str | None]:
    recipes = told.about.get("recipes")
    return recipes if isinstance(recipes, dict) else {}


def _names(
    before: Mapping[str, End], after: Mapping[str, End], then: Mapping[str, str | None], now: Mapping[str, str | None]
) -> dict[str, str]:
    """What each stage was called then: one that computes what a stage did that is gone, is that stage."""
    names = {name: name for name in after if name in before}
    gone = [name for name in before if name not in after]
    for name in after:
        was = next((one for one in gone if then.get(one) is not None and then[one] == now.get(name)), None)
        if name not in names and was is not None:
            gone.remove(was)
            names[name] = was
    return names


def _change(history: History, connection: sqlite3.Connection, then: _Stage, now: _Stage) -> StageChange:
    recipe = "same" if then.key == now.key else "changed"
    if then.key is None and now.key is None and now.name in _keys(now.run):
        recipe = "unknown"
    why = _why(connection, then, now) if recipe == "changed" else []
    read = _read(connection, then, now)
    items = compared(history, then.calls, now.calls)
    return StageChange(now.name, then.name, then.end, now.end, recipe, tuple(dict.fromkeys([*why, *read])), items)


def _why(connection: sqlite3.Connection, then: _Stage, now: _Stage) -> list[str]:
    """In what two recipes differ; nothing where their parts are not there any more."""
    before, after = _recipe(connection, then), _recipe(connection, now)
    return [] if before is None or after is None else list(map(str, after.changes(before.parts)))


def _recipe(connection: sqlite3.Connection, stage: _Stage) -> Recipe | None:
    try:
        key = bytes.fromhex(stage.key or "")
        row = connection.execute("SELECT parts FROM recipe WHERE key = ?", (key,)).fetchone()
        parts = dict(json.loads(row[0]))
    except (ValueError, TypeError):  # damaged, or none: it is only told less well
        return None
    names = {key: name for name, key in reversed(_keys(stage.run).items())}
    sources = takewhile(lambda part: part in parts, (f"{SOURCE}{number}" for number in count()))
    return Recipe(parts, tuple(StageName(names.get(parts[part], "?")) for part in sources))


def _read(connection: sqlite3.Connection, then: _Stage, now: _Stage) -> list[str]:
    """Files of `deps` in which there was something else."""
    before, after = (last_read(connection, stage.run.run, stage.name) for stage in (then, now))
    return [] if before is None or after is None else list(map(str, deps_changes(before, after)))
