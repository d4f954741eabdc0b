"""One trial: a sample once through one method, by the engine as any run; or its bare function in a plain loop."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import chdir
from dataclasses import dataclass
from functools import partial
from resource import RUSAGE_SELF, getrusage
from time import monotonic, perf_counter

from pipeline_runner.calls import Cause, column_values
from pipeline_runner.engine.engine import Engine
from pipeline_runner.engine.inputs import constants_of, intake_of
from pipeline_runner.engine.jobs import environment, job, workdir
from pipeline_runner.engine.places import Taken, Writing, names
from pipeline_runner.events import CallsDone, Event, StageEnded
from pipeline_runner.plan.plan import Plan, StagePlan
from pipeline_runner.tuning.apart import Weigh, apart, cpu_s
from pipeline_runner.worker.failures import failure_of
from pipeline_runner.worker.functions import add_to_path
from pipeline_runner.worker.steps import prepare, set_up

SURE_S = 0.1  # of calls: the clock of the processor's time ticks every 10 ms


@dataclass(frozen=True)
class Bare:
    """The function called in a plain loop, in one process that does nothing else."""

    took_s: tuple[float, ...]  # each call that ended well
    cpu_s: float  # of all of them
    waited: int  # times that they gave up the processor themselves: a busy machine takes it from them
    failed: Mapping[int, str]  # numbers of the others, and what they raised

    @property
    def each_s(self) -> float:
        return sum(self.took_s) / max(1, len(self.took_s))

    @property
    def waits(self) -> float:
        """The share of their time for which calls wait; 0 where that cannot be told."""
        took_s = sum(self.took_s)
        if took_s < SURE_S or 2 * self.waited < len(self.took_s):
            return 0.0
        return max(0.0, 1 - self.cpu_s / took_s)


@dataclass(frozen=True)
class Trial:
    """What came of one method in one round."""

    wall_s: float  # from nothing to the last value, pool included
    first_s: float  # of it, until the first calls had ended
    first_calls: int  # that ended then
    calls: int
    cpu_s: float  # of the runner and all of its workers
    peak_bytes: int | None
    failed: int = 0
    failure: str = ""  # the first of those

    def each_s(self, beside: int) -> float:
        """Seconds that every further call takes, when so many run at a time."""
        at_hand = min(self.calls, self.first_calls * beside)  # when the first ended, as many others nearly had
        left = self.calls - at_hand
        whole = self.wall_s / max(1, self.calls)
        return min(whole, max(0.0, (self.wall_s - self.first_s) / left)) if left > 0 else whole

    def seconds(self, calls: int, beside: int) -> float:
        """How long so many calls would take."""
        return self.wall_s + (calls - self.calls) * self.each_s(beside)

    def start_s(self, beside: int) -> float:
        """What it takes however few calls there are."""
        return max(0.0, self.wall_s - self.calls * self.each_s(beside))


def try_method(plan: Plan, most_s: float) -> Trial:
    """Run the one stage of a plan. Errors: Ended."""
    heard = apart(partial(_engine, plan), most_s)
    took: Trial = heard.value
    return Trial(**{**vars(took), "peak_bytes": heard.peak_bytes})


def _engine(plan: Plan, weigh: Weigh) -> Trial:
    (name,) = plan.stages
    marks: dict[str, tuple[float, int]] = {}

    def watch(event: Event) -> None:
        if isinstance(event, CallsDone) and "first" not in marks:
            marks["first"] = monotonic() - began, len(event.indices)
        if isinstance(event, StageEnded):
            marks["end"] = monotonic() - began, 0
            weigh()  # its workers are still there, and the clock has stopped

    before, began = cpu_s(), monotonic()
    with chdir(plan.pipeline.folder_of(plan.stages[name].spec)):
        engine = Engine(plan, run="tune", folder=_no_folder, keep=lambda stage: True, listeners=[watch])
        state = engine.run()
    failures = [failed.failure for failed in state.failures]
    wall_s = marks["end"][0]
    first_s, first = marks.get("first", (wall_s, 0))
    why = str(failures[0]) if failures else ""
    return Trial(wall_s, first_s, first, state.stages[name].done, cpu_s() - before, None, len(failures), why)


def _no_folder() -> str:
    raise AssertionError("what a stage is given is filled in before it is tried: this is our bug")


def try_bare(plan: Plan, most_s: float | None = None) -> Bare:
    """Call the function of the one stage of a plan in a plain loop. Errors: Ended."""
    bare: Bare = apart(partial(_loop, plan), most_s).value
    return bare


def _loop(plan: Plan, weigh: Weigh) -> Bare:
    (stage,) = plan.stages.values()
    folder = plan.pipeline.folder_of(stage.spec)
    add_to_path(os.path.abspath(folder))
    os.environ.update(environment(plan.pipeline, stage))
    with chdir(workdir(plan.pipeline, stage.spec) or folder):
        calls = _calls(plan, stage)
        took: list[float] = []
        failed: dict[int, str] = {}
        spent, waited = sum(os.times()[:4]), getrusage(RUSAGE_SELF).ru_nvcsw
        for number, call in enumerate(calls):
            began = perf_counter()
            try:
                call()
            except BaseException as error:  # as a worker has it: sys.exit in a call is the call's
                failed[number] = str(failure_of(error, Cause.RAISED))
            else:
                took.append(perf_counter() - began)
        waited = getrusage(RUSAGE_SELF).ru_nvcsw - waited
        return Bare(tuple(took), sum(os.times()[:4]) - spent, waited, failed)


def _calls(plan: Plan, stage: StagePlan) -> list[Callable[[], object]]:
    """Every call, ready to be made: with its arguments as a worker would have them."""
    spec, folder = stage.spec, plan.pipeline.folder_of(stage.spec)
    writing = Writing(spec, folder, plan.pipeline.files, Taken()) if spec.outs else None
    scope = {"stages": {}, "run": None} | (names(writing.places(0, None)) if writing and spec.over is None else {})
    constants = constants_of(spec, scope)
    intake, _ = intake_of(plan, stage, constants.per_call, {}, lambda: None, writing=writing)
    described = job(plan.pipeline, [stage], [constants.fixed], [True])
    set_up(described)
    (step,) = prepare(described)
    made: list[Callable[[], object]] = []
    while (drawn := intake.draw(1 << 12)) is not None:
        inputs = step.inputs([column_values(column) for column in drawn.columns], len(drawn))
        if drawn.keywords is None:
            made += [partial(step.run, given) for given in inputs]
        else:
            keywords = column_values(drawn.keywords)
            made += [partial(step.run_with, pair) for pair in zip(inputs, keywords, strict=True)]
    return made
