"""One recorded call, run again in this very process: with the arguments that it had, and the code as it is now."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from functools import partial
from itertools import islice
from pathlib import Path

from pipeline_runner.calls import Calls, Cause, column_values
from pipeline_runner.classes import dataclass, field, replace
from pipeline_runner.engine.inputs import RunNames, constants_of, read_whole, settled
from pipeline_runner.engine.jobs import environment, item_of, job, keywords_of, workdir
from pipeline_runner.engine.places import Taken, Writing, names
from pipeline_runner.errors import Problems, UsageError
from pipeline_runner.masks import Mask
from pipeline_runner.plan.plan import Plan, StagePlan
from pipeline_runner.record.apart import telling_apart
from pipeline_runner.record.digests import digest
from pipeline_runner.record.files import Files
from pipeline_runner.record.history import History, Row, UnknownCall
from pipeline_runner.record.inputs import numbered
from pipeline_runner.record.keys import recipes
from pipeline_runner.record.lineage import deepened, in_lists, side_by_side
from pipeline_runner.running import gives
from pipeline_runner.spec.command import typed
from pipeline_runner.spec.hidden import mask_of
from pipeline_runner.spec.pipeline import Batches, Command, FromStage, Source, StageName, Zip
from pipeline_runner.spec.secrets import missing
from pipeline_runner.spec.sources import items
from pipeline_runner.state import RunState, failure_told
from pipeline_runner.typed import Any
from pipeline_runner.worker.functions import add_to_path
from pipeline_runner.worker.job import COMMAND
from pipeline_runner.worker.packing import pack_result
from pipeline_runner.worker.shell import Invocation
from pipeline_runner.worker.steps import prepare, set_up


class CannotReplay(UsageError):
    """What a call was given cannot be had any more."""

    def __init__(self, stage: str, item: int, why: str, cure: str = "") -> None:
        super().__init__(stage, item, why)
        self.stage, self.item, self.why, self.cure = stage, item, why, cure

    def __str__(self) -> str:
        told = f"cannot replay {self.stage}[{self.item}]: {self.why}"
        return f"{told}\n  {self.cure}" if self.cure else told


@dataclass(frozen=True)
class Replay:
    """A call that is ready to run. `notes` say what is not as it was."""

    call: Callable[[], Any]
    surroundings: Callable[[], Any]
    notes: tuple[str, ...]

    def run(self) -> Any:
        """Its value. Errors: whatever it raises."""
        with self.surroundings():
            return self.call()


def replayed(history: History, run: str, plan: Plan, stage: str, item: int) -> Replay:
    """The call `stage[item]` of a run. Errors: UnknownCall, CannotReplay; what importing its function raises."""
    state, plan = history.state(run), plan.with_hooks()
    if stage not in state.stages or StageName(stage) not in plan.stages:
        raise UnknownCall(run, stage, [name for name in state.stages if StageName(name) in plan.stages])
    known = state.stages[stage].calls
    if item < 0 or (known is not None and item >= known):
        raise UnknownCall(run, stage, list(state.stages), item, known or 0)
    only = replace(plan.pipeline, stages={StageName(stage): plan.stages[StageName(stage)].spec})
    if problems := missing(only):
        raise Problems(problems)
    add_to_path(str(plan.pipeline.folder))
    past = _Past(history, run, plan, state)
    past.notes += [_UNWATCHED[cause] for cause in _causes(state, stage, item) if cause in _UNWATCHED]
    surroundings = partial(_in, plan, plan.stages[StageName(stage)])
    with surroundings():  # what arguments are made of may be read there
        call = past.call(StageName(stage), item)
    return Replay(call, surroundings, tuple(past.notes))


_UNWATCHED = {
    Cause.LOST: "its worker died then; whatever it died of may end this process too",
    Cause.TIMEOUT: "it was killed at its timeout; nothing ends it here, and Ctrl-C shows where it is",
    Cause.MEMORY: "it was killed for its memory; nothing bounds it here",
}


def _causes(state: RunState, stage: str, item: int) -> list[Cause]:
    return [one.failure.cause for one in state.failures if (one.stage, one.index) == (stage, item)]


@contextmanager
def _in(plan: Plan, stage: StagePlan) -> Iterator[None]:
    """Where calls of a stage are: in its folder, with its environment."""
    before = dict(os.environ)
    with chdir(workdir(plan.pipeline, stage.spec) or plan.pipeline.folder_of(stage.spec)):
        os.environ.update(environment(plan.pipeline, stage))
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


@dataclass
class _Past:
    """What the calls of a run were given, and what they gave."""

    history: History
    run: str
    plan: Plan
    state: RunState
    notes: list[str] = field(default_factory=list)

    def call(self, name: StageName, item: int) -> Callable[[], Any]:
        stage = self.plan.stages[name]
        self._note_change(name, item)
        folder = self.history.store.folder / "runs" / self.run
        failures = [failure_told(failed) for failed in self.state.failures if failed.stage not in self.state.hooks]
        seen = RunNames(self.run, lambda: _made(folder), str(self.state.status), failures)
        scope: dict[str, Any] = {"stages": _Kept(self), "run": seen}
        writing = self._writing(name)
        if writing is not None and stage.spec.over is None:
            scope |= names(writing.places(0, None))
        constants = constants_of(stage.spec, scope)
        columns, keywords = self._given(name, item, constants.per_call)
        if isinstance(stage.spec.function, Command):
            self._note_command(name, item, constants.fixed if COMMAND in constants.fixed else keywords)
        described = job(self.plan.pipeline, [stage], [constants.fixed], [True])

        def call() -> Any:
            set_up(described)
            (step,) = prepare(described)
            (given,) = step.inputs([[value] for value in columns], 1)
            value = step.run(given) if keywords is None else step.run_with((given, keywords))
            pack_result([value])  # a value that cannot be sent, or read back, has failed there too
            return value

        return call

    def value(self, name: StageName, item: int) -> Any:
        """What a call gave: as it was kept, or by running it again where nobody kept it."""
        row = self.history.row(self.run, name, item)
        if row is not None and row.pack is not None:
            at = row.pack.start + item - row.first
            (value,) = row.pack._replace(start=at, stop=at + 1).values()
            return value
        self.notes.append(f"the value of {name}[{item}] was not kept, so that call is run again too")
        with _in(self.plan, self.plan.stages[name]):
            call = self.call(name, item)
            try:
                return call()
            except Exception as error:  # the user's own, of a call that is not the one that was asked for
                told = mask_of(self.plan.pipeline).text(f"{type(error).__name__}: {error}")
                why = f"its value was not kept, and made again it fails: {told}"
                raise CannotReplay(name, item, why, self._see(name, item)) from error

    def whole(self, name: StageName) -> Any:
        """A stage's whole result. Errors: CannotReplay when some of it is missing."""
        stage = self.plan.stages[name]
        rows = self._rows(name)
        values = [value for row in rows if row.pack is not None for value in row.pack.values()]
        if stage.spec.over is None:
            return values[0] if values else self.value(name, 0)
        done = self.state.stages[name].done if name in self.state.stages else 0
        if len(values) != done:
            why = f'it reads all of stage "{name}", of whose {done} values {len(values)} are kept'
            raise CannotReplay(name, 0, why, f"`prun --resume {self.run}` makes the others again")
        return values

    def _given(self, name: StageName, item: int, varying: Mapping[str, Any]) -> tuple[list[Any], Any]:
        """The arguments of a call, one a column, and its own keywords."""
        spec = self.plan.stages[name].spec
        payload = self.history.given(self.run, name, item)
        if payload is not None:
            columns, keywords = pickle.loads(payload)
            values = [column_values(column)[0] for column in columns]
            if keywords is not None and not spec.outs:  # the project may have been moved, and where it writes with it
                return values, column_values(keywords)[0]
        else:
            sources = () if spec.over is None else spec.over.columns if isinstance(spec.over, Zip) else (spec.over,)
            values = [self._argument(name, source, item) for source in sources]
            self._must_be_the_same(name, item, sources, values)
        if not varying and not spec.outs:
            return values, None
        given = item_of(spec.over)(values) if values else None
        return values, keywords_of(varying, self._writing(name))(item, given)

    def _writing(self, name: StageName) -> Writing | None:
        spec = self.plan.stages[name].spec
        return Writing(spec, self._folder(name), self.plan.pipeline.files, Taken()) if spec.outs else None

    def _argument(self, name: StageName, source: Source, item: int) -> Any:
        if isinstance(source, FromStage) and self._goes_through(source):
            if _causes(self.state, source.stage, item):
                why = f"it was never made: {source.stage}[{item}], whose value it was to be given, failed"
                raise CannotReplay(name, item, why, self._see(source.stage, item))
            return self.value(source.stage, item)
        for value in self._items(name, source, item, 1):
            return value
        raise CannotReplay(name, item, "its source has fewer items now")

    def _see(self, name: StageName, item: int) -> str:
        return f"see that one: prun replay {self.run} '{name}[{item}]'"

    def _items(self, name: StageName, source: Source, start: int, most: int) -> list[Any]:
        """Up to `most` items of a source, from this place on."""
        match source:
            case FromStage() if self._goes_through(source):
                return [self.value(source.stage, number) for number in self._ended(source)[start : start + most]]
            case Batches(inner, in_one):
                given = self._items(name, inner, start * in_one, most * in_one)
                return [given[at : at + in_one] for at in range(0, len(given), in_one)]
        opened = items(settled(source, _Kept(self)), self._folder(name))
        return list(islice(opened, start, start + most))

    def _goes_through(self, source: FromStage) -> bool:
        """Whether each call of the stage gives one item."""
        return self.plan.stages[source.stage].spec.over is not None and len(source.reference.path) == 1

    def _ended(self, source: FromStage) -> list[int]:
        """The numbers of the stage's calls that ended well, as its readers got them."""
        return [number for row in self._rows(source.stage) for number in range(row.first, row.stop)]

    def _rows(self, name: StageName) -> list[Row]:
        """What is kept of a stage, as its readers got it."""
        calls = self.state.stages[name].calls if name in self.state.stages else None
        as_they_came = gives(self.plan.stages[name]) == "unordered"
        return self.history.rows(self.run, name, as_they_came=as_they_came, calls=calls)

    def _must_be_the_same(self, name: StageName, item: int, sources: tuple[Source, ...], values: list[Any]) -> None:
        """Errors: CannotReplay when the source gives something else than the call had."""
        row = self.history.row(self.run, name, item)
        then = None if row is None else row.digest(item)
        if then is None:
            return
        if any(read_whole(self.plan.stages[name].spec)) or self.plan.stages[name].spec.deps:
            self.notes.append(
                f"{name}[{item}] is given what its source gives now, which may be another item than it was"
            )
            return
        if then != self._digest(name, item, sources, values):
            why = "its source has changed since: it gives another item, or the item's file is another"
            raise CannotReplay(name, item, why, "what a call was given is kept only where it failed")

    def _digest(self, name: StageName, item: int, sources: tuple[Source, ...], values: list[Any]) -> bytes | None:
        """What the engine would tell the call apart by."""
        number = range(item, item + 1)
        columns = [
            Calls(number, (([value],),), digests=self._told_apart(name, source, item, value))
            for source, value in zip(sources, values, strict=True)
        ]
        return deepened(number, side_by_side(columns), b"", numbered=numbered(self.plan.stages[name].spec))

    def _told_apart(self, name: StageName, source: Source, item: int, value: Any) -> bytes | None:
        if isinstance(source, Batches):
            return self._of_batch(name, source, item, value)
        if isinstance(source, FromStage):
            over = self.plan.stages[source.stage].spec.over
            if over is None or not self._goes_through(source):
                return digest(value)
            row = self.history.row(self.run, source.stage, item)
            if row is not None:
                return row.digest(item)
            sources = over.columns if isinstance(over, Zip) else (over,)
            return self._digest(
                source.stage, item, sources, [self._argument(source.stage, one, item) for one in sources]
            )
        how = telling_apart(source, self._folder(name), Files())
        return None if how is None else how([value])

    def _folder(self, name: StageName) -> Path:
        return self.plan.pipeline.folder_of(self.plan.stages[name].spec)

    def _of_batch(self, name: StageName, source: Batches, item: int, batch: list[Any]) -> bytes:
        inner, start = source.source, item * source.size
        numbers: Sequence[int] = range(start, start + len(batch))
        if isinstance(inner, FromStage) and self._goes_through(inner):
            numbers = self._ended(inner)[start : start + len(batch)]
        told = [self._told_apart(name, inner, number, one) for number, one in zip(numbers, batch, strict=True)]
        known = [digests for digests in told if digests is not None]
        return in_lists(numbers, b"".join(known) if len(known) == len(told) else None, source.size)

    def _note_command(self, name: StageName, item: int, given: Any) -> None:
        command = given.get(COMMAND) if isinstance(given, Mapping) else None
        if isinstance(command, Invocation):
            self.notes.append(f"{name}[{item}] runs: {typed(_hidden(command, mask_of(self.plan.pipeline)))}")

    def _note_change(self, name: StageName, item: int) -> None:
        """Say so when the stage is not what it was."""
        row = self.history.row(self.run, name, item)
        about = self.history.told(self.run).about.get("recipes", {}).get(name)
        then = about if row is None else row.recipe.hex()
        now = recipes(self.plan, self.run)[name].key
        if then is not None and now is not None and then != now.hex():
            self.notes.append(f'stage "{name}" has changed since that run; it is run as it is now')


class _Kept(Mapping[str, Any]):
    """`${stages}`: the whole result of each stage, read when it is asked for."""

    def __init__(self, past: _Past) -> None:
        self._past = past

    def __getitem__(self, name: str) -> Any:
        return self._past.whole(StageName(name))

    def __contains__(self, name: object) -> bool:
        return name in self._past.plan.stages

    def __iter__(self) -> Iterator[str]:
        return iter(self._past.plan.stages)

    def __len__(self) -> int:
        return len(self._past.plan.stages)


def _hidden(command: Invocation, mask: Mask) -> Invocation:
    """As it may be shown. Quoted for a shell, a secret would not be known again."""

    def hide(data: bytes) -> bytes:
        return os.fsencode(mask.text(os.fsdecode(data)))

    return Invocation(
        tuple(map(hide, command.argv)), tuple((variable, hide(value)) for variable, value in command.variables)
    )


def _made(folder: Path) -> str:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return str(folder)
