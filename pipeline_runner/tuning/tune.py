"""Tunes one stage: its items, its bare function, every method that fits in rounds, and which of them is the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline_runner.backends import table
from pipeline_runner.engine.inputs import RunNames
from pipeline_runner.errors import PipelineError, UsageError
from pipeline_runner.plan.choose import candidates
from pipeline_runner.plan.measured import Measured, Span, short
from pipeline_runner.plan.plan import Choice, Plan, StagePlan
from pipeline_runner.plan.preflight.look import refuse
from pipeline_runner.record.store import Store
from pipeline_runner.spec.pipeline import Command, StageName, StageSpec
from pipeline_runner.tuning.apart import Ended
from pipeline_runner.tuning.reading import read_by, run_folder
from pipeline_runner.tuning.rounds import Rounds, Tell, Way
from pipeline_runner.tuning.sample import Sample, of_all, sample_of
from pipeline_runner.tuning.trial import Bare, try_bare
from pipeline_runner.tuning.verdict import Verdict, verdict

AIM_S = 0.5  # of bare calls in a sample
ROUNDS = 3


class Unsafe(UsageError):
    """A stage whose calls do more than to compute would do that many times over."""

    def __init__(self, stage: str, why: str) -> None:
        super().__init__(stage, why)
        self.stage, self.why = stage, why

    def __str__(self) -> str:
        return (
            f'stage "{self.stage}" {self.why}: to tune it, its calls are made many times over\n'
            "  if that does no harm, say so with --yes"
        )


class CallsFail(PipelineError):
    """No call of the sample ends well, whatever the method."""

    def __init__(self, stage: str, why: str) -> None:
        super().__init__(stage, why)
        self.stage, self.why = stage, why

    def __str__(self) -> str:
        return f'stage "{self.stage}" cannot be tuned, since its calls fail by themselves: {self.why}'


@dataclass(frozen=True)
class Tuned:
    """What was measured of one stage."""

    stage: StagePlan
    sample: Sample
    calls: int  # for which methods are compared: all that the stage is known to have
    origin: str  # of what it reads; a clause
    bare: Bare
    ways: Sequence[Way]  # the best first, those that gave nothing last
    verdict: Verdict | None  # None: no method got through
    rounds: int
    workers: int


def unsafe(stage: StageSpec) -> str:
    """Why the calls of a stage are not to be repeated unasked; a clause, or nothing."""
    if isinstance(stage.function, Command):
        return "runs a command"
    return "writes files (`outs`)" if stage.outs else ""


def tune(
    plan: Plan,
    name: StageName,
    *,
    store: Store | None,
    items: int | None = None,
    rounds: int = ROUNDS,
    yes: bool = False,
    tell: Tell,
    progress: Tell,
) -> Tuned:
    """Measure one stage of a plan. `tell` hears what is about to be done, `progress` each trial.

    Errors: Unsafe, CallsFail, SourcesFailed, UsageError; Problems; StoreError.
    """
    stage = plan.stages[name]
    if name in plan.skipped:
        raise UsageError(f'stage "{name}" is skipped: {plan.skipped[name]}')
    if not yes and (why := unsafe(stage.spec)):
        raise Unsafe(name, why)
    refuse(replace(plan, stages={name: stage}, pipeline=replace(plan.pipeline, stages={name: stage.spec}, hooks={})))
    choices = _choices(stage)
    tell(
        f"{name}: {stage.spec.function} is called many times over, on some of the stage's own items, "
        f"by {len(choices)} methods in {in_rounds(rounds)}"
    )
    with run_folder() as folder:
        read = read_by(plan, stage.spec, store)
        whole = sample_of(plan, name, read, RunNames("tune", folder))
        progress(f"{name}: its calls alone")
        sample, bare = _alone(plan, stage, whole, items)
        tell(f"{name}: {_told(sample, read.origin)}, which alone take {short(sum(bare.took_s))}")
        tried = Rounds(plan, sample, bare, max(whole.of or 0, whole.calls), progress)
        ways = tried.ways(choices, stage.spec.chunk)
        tried.run(ways, rounds)
        found = verdict(plan, stage, ways, bare)
        if found is not None and (others := tried.other_chunks(found.best)):
            tried.run(others, rounds)
            ways += others
            found = verdict(plan, stage, ways, bare)
    ordered = sorted(ways, key=lambda way: (not way.told, way.seconds if way.told else 0.0))
    return Tuned(stage, sample, tried.calls, read.origin, bare, tuple(ordered), found, rounds, plan.workers)


def _choices(stage: StagePlan) -> list[Choice]:
    """The methods that give each call what the stage's own method gives it."""
    spec = stage.spec
    style = spec.style if spec.method is None else spec.style or stage.choice.style
    return candidates(replace(spec, method=None, style=style), table())


def _alone(plan: Plan, stage: StagePlan, whole: Sample, items: int | None) -> tuple[Sample, Bare]:
    """A sample whose calls end well and take about half a second, and how long they take in a plain loop."""
    count = items or 2 * plan.workers
    sample = whole.first(count)
    bare = _tried_alone(plan, stage, sample)
    if items is None and bare.each_s * sample.calls < AIM_S / 2 and sample.calls < whole.calls:
        sample = whole.first(int(AIM_S / max(bare.each_s, 1e-9)))
        bare = _tried_alone(plan, stage, sample)
    if len(bare.failed) == sample.calls:
        raise CallsFail(stage.spec.name, next(iter(bare.failed.values())))
    return sample.without(bare.failed), bare


def _tried_alone(plan: Plan, stage: StagePlan, sample: Sample) -> Bare:
    timeout_s = stage.spec.timeout_s
    try:
        return try_bare(sample.plan(plan, stage.choice, None), None if timeout_s is None else timeout_s * sample.calls)
    except Ended as ended:
        raise CallsFail(stage.spec.name, str(ended)) from ended


def in_rounds(rounds: int) -> str:
    return "1 round" if rounds == 1 else f"{rounds} rounds"


def _told(sample: Sample, origin: str) -> str:
    calls = of_all(sample)
    return f"{calls} ({origin})" if origin else calls


def measured(tuned: Tuned, when: str) -> Measured:
    """What the planner may know of it from now on: of the stage as it is, with the chunks that it has."""
    took: dict[str, Span] = {}
    here: dict[str, Span] = {}
    for way in tuned.ways:  # the best first
        if way.told and way.chunk == tuned.stage.spec.chunk:
            took[way.name] = way.span
            if way.choice.backend.in_process:
                here.setdefault(way.choice.backend.keyword, way.span)
    return Measured(took, here, tuned.calls, when)
