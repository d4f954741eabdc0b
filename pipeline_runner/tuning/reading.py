"""What the stages gave that a stage reads: taken from the last run that has it, else made once, of a sample."""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

from pipeline_runner.axes import Status
from pipeline_runner.engine.engine import Engine
from pipeline_runner.engine.inputs import whole_value
from pipeline_runner.errors import PipelineError
from pipeline_runner.plan.links import links
from pipeline_runner.plan.make import make_plan
from pipeline_runner.plan.plan import Plan
from pipeline_runner.plan.preflight.look import refuse
from pipeline_runner.plan.select import Part, part_of
from pipeline_runner.record.history import History
from pipeline_runner.record.keys import recipes
from pipeline_runner.record.record import identity
from pipeline_runner.record.store import Store
from pipeline_runner.running import gives
from pipeline_runner.spec.pipeline import StageName, StageSpec
from pipeline_runner.tuning.apart import Ended, Weigh, apart
from pipeline_runner.worker.functions import add_to_path
from pipeline_runner.worker.packing import pack

LOOKED_BACK = 20  # runs in which values are looked for
MANY = 1_000  # items of each source at most, where sources have to be made


class SourcesFailed(PipelineError):
    """What a stage reads cannot be made."""

    def __init__(self, stage: str, sources: Sequence[str], why: str) -> None:
        super().__init__(stage, sources, why)
        self.stage, self.sources, self.why = stage, tuple(sources), why

    def __str__(self) -> str:
        return f'stage "{self.stage}" reads {", ".join(self.sources)}, and that cannot be made: {self.why}'


@dataclass(frozen=True)
class Read:
    """Whole values of stages. Not `whole`: of a sample of their own sources."""

    values: Mapping[str, Any] = field(default_factory=dict)
    whole: bool = True
    origin: str = ""  # a clause: 'as in run …'


def read_by(plan: Plan, stage: StageSpec, store: Store | None, most: int = MANY) -> Read:
    """The values of all that a stage reads. Errors: SourcesFailed, Problems; StoreError."""
    names = list(dict.fromkeys(link.source for link in links(stage)))
    if not names:
        return Read()
    for folder in {plan.pipeline.folder, plan.pipeline.folder_of(stage)}:
        add_to_path(os.path.abspath(folder))  # values may be of the project's own classes
    read = {link.source for link in links(stage) if link.reads}
    kept = None if store is None else _kept(plan, [name for name in names if name in read], store)
    return kept or _made(plan, stage, names, most)


def _kept(plan: Plan, names: Sequence[StageName], store: Store) -> Read | None:
    """Values of the newest run that has them all, made by what the stages are now; None where there is none."""
    history, now = History(store), recipes(plan)
    for run in history.names()[:LOOKED_BACK]:
        about = history.told(run).about
        then = about.get("recipes", {})
        keys = {name: now[name].key for name in names}
        if about.get("identity") != identity(plan) or any(
            key is None or then.get(name) != key.hex() for name, key in keys.items()
        ):
            continue
        found = {str(name): _whole(history, run, plan, name) for name in names}
        values = {name: one[0] for name, one in found.items() if one is not None}
        if len(values) == len(found):
            return Read(values, True, f"as in run {run}")
    return None


def _whole(history: History, run: str, plan: Plan, name: StageName) -> tuple[Any] | None:
    """The value of a stage, or the list of all; None where it is not all there."""
    state, stage = history.state(run), plan.stages[name]
    rows = history.rows(run, name, as_they_came=gives(stage) == "unordered")
    if any(row.pack is None for row in rows) or name not in state.stages:
        return None
    ended, calls = state.stages[name], sum(row.stop - row.first for row in rows)
    if not calls or calls != ended.done or ended.failed:
        return None
    try:
        values = [value for row in rows if row.pack is not None for value in row.pack.values()]
    except Exception:  # a class of the user's is not there any more: they are made anew
        return None
    return (values if stage.spec.over is not None else values[0],)


def _made(plan: Plan, stage: StageSpec, names: Sequence[StageName], most: int) -> Read:
    """Run what a stage reads, on a sample, in another process; nothing of it is kept."""
    part, _ = part_of(plan.pipeline, Part(stages=names, sample=most))
    sources = make_plan(part, workers=plan.workers, sample=most)
    refuse(sources)
    try:
        heard = apart(partial(_run, sources, names))
    except Ended as ended:
        raise SourcesFailed(stage.name, names, str(ended)) from ended
    told, failure = heard.value
    if failure:
        raise SourcesFailed(stage.name, names, failure)
    return Read(pickle.loads(told), False, f"of a sample of {', '.join(sources.stages)}")


def _run(plan: Plan, names: Sequence[StageName], weigh: Weigh) -> tuple[bytes, str]:
    with run_folder() as folder:
        engine = Engine(plan, run="tune", folder=folder, keep=lambda name: name in names)
        state = engine.run()
    if state.status not in (Status.DONE, Status.PARTIAL):
        return b"", str(next(iter(state.failures), f"it {(state.status or Status.CANCELLED).said}"))
    return pack({str(name): whole_value(plan.stages[name].spec, engine.results[name]) for name in names}), ""


@contextmanager
def run_folder() -> Iterator[Callable[[], str]]:
    """Makes ${run.dir} when it is first asked for; it is gone afterwards."""
    with ExitStack() as stack:
        yield cache(lambda: stack.enter_context(tempfile.TemporaryDirectory(prefix="prun-")))
