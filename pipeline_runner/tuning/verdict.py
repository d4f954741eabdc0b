"""Which way is the best for a stage, and why, in words that say what it would take otherwise.

Who is only a little faster has not won: among those within a tenth of the fastest, the one that the planner likes best.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pipeline_runner.axes import Style
from pipeline_runner.backends import table
from pipeline_runner.errors import Problems
from pipeline_runner.plan.choose import choose
from pipeline_runner.plan.make import make_plan
from pipeline_runner.plan.measured import short
from pipeline_runner.plan.plan import EdgeKind, Plan, StagePlan
from pipeline_runner.running import gives
from pipeline_runner.tuning.rounds import Way
from pipeline_runner.tuning.trial import Bare

NEAR = 1.1  # times the fastest that is as good,
NEAR_S = 0.005  # and what no clock of a busy machine can tell apart
WAITS = 0.5  # of their time: calls that compute no more than that have something to gain from threads


@dataclass(frozen=True)
class Verdict:
    """The best way, what the file has to say to get it, and the reasons."""

    best: Way
    keys: Mapping[str, str | int]  # of the stage
    why: tuple[str, ...]  # sentences
    unfit: Mapping[str, str] = field(default_factory=dict)  # faster methods that would change more than the time


def verdict(plan: Plan, stage: StagePlan, ways: Sequence[Way], bare: Bare) -> Verdict | None:
    """The best of the ways that got through; None where none did. The ways come in the planner's order."""
    told = [way for way in ways if way.told]
    unfit: dict[str, str] = {}
    fit: list[Way] = []
    for way in sorted(told, key=lambda way: way.seconds):
        if fit and not _as_good(way, fit[0]):
            break
        keys = keys_for(stage, way)
        if changed := _changed(plan, stage, keys):
            unfit[way.name] = changed
        else:
            fit.append(way)
    if not fit:
        return None
    best = min(fit, key=lambda way: (way.chunk != stage.spec.chunk, list(ways).index(way)))
    rivals = [way for way in told if way.name not in unfit]
    return Verdict(best, keys_for(stage, best), tuple(_reasons(stage, best, rivals, bare)), unfit)


def _as_good(way: Way, fastest: Way) -> bool:
    return way.seconds <= max(NEAR * fastest.seconds, fastest.seconds + NEAR_S)


def keys_for(stage: StagePlan, way: Way) -> dict[str, str | int]:
    """What the stage has to say so that it runs this way."""
    keys: dict[str, str | int] = {"method": way.name}
    if way.chunk != stage.spec.chunk:
        keys["chunk"] = "auto" if way.chunk is None else way.chunk
    try:
        named = choose(replace(stage.spec, method=way.name), table())
    except Problems:  # it contradicts what the stage says; `_changed` tells how
        return keys
    if named.style is not way.choice.style:
        keys["args"] = str(way.choice.style)
    return keys


def _changed(plan: Plan, stage: StagePlan, keys: Mapping[str, str | int]) -> str:
    """What would be different in the pipeline, beside the time; a clause, or nothing."""
    name = stage.spec.name
    chunk = stage.spec.chunk if "chunk" not in keys else None if keys["chunk"] == "auto" else int(keys["chunk"])
    style = Style(str(keys["args"])) if "args" in keys else stage.spec.style
    pinned = replace(stage.spec, method=str(keys["method"]), chunk=chunk, style=style)
    try:
        made = make_plan(
            replace(plan.pipeline, stages={**plan.pipeline.stages, name: pinned}),
            workers=plan.workers,
            sample=plan.sample,
            taken=plan.taken,
        )
    except Problems as found:
        return found.problems[0].sentence()
    if gives(made.stages[name]) != gives(stage):
        return "it hands values on in the order in which they end: say `returns: unordered` if that will do"
    streams = {(edge.source, edge.target) for edge in made.edges if edge.kind is EdgeKind.STREAM}
    for edge in plan.edges:
        if edge.kind is EdgeKind.STREAM and (edge.source, edge.target) not in streams:
            return f"{edge.target} would wait for all of {edge.source}"
    return ""


# The reasons


def _reasons(stage: StagePlan, best: Way, told: Sequence[Way], bare: Bare) -> Iterator[str]:
    apart = min((way for way in told if not way.choice.backend.in_process), key=_seconds, default=None)
    serial = min((way for way in told if _serial(way)), key=_seconds, default=None)
    if best.choice.backend.in_process:
        yield from _in_process(best, apart, bare)
    elif serial is not None and serial.seconds > best.seconds:
        ratio = times(serial.seconds, best.seconds)
        yield f"it is {ratio} as fast as one call after the other ({_spans(best, serial)})"
    elif bare.each_s * best.calls < best.seconds:
        keeps = "what the stage says keeps it in worker processes" if serial is None else "it stays in worker processes"
        yield f"the work is small ({short(bare.each_s * best.calls)} in all), and {keeps}"
    own = next((way for way in told if way.name == stage.choice.method.name and way.chunk == stage.spec.chunk), None)
    if own is best:
        said = "is what the stage says already" if stage.spec.method else "is what the planner chooses anyway"
        yield f"it {said}; nothing else that would do is more than a tenth faster"
    elif own is not None:
        now = "now" if stage.spec.method else "chosen otherwise"
        yield f"{own.name}, {now}, would take {short(own.seconds)}"


def _in_process(best: Way, apart: Way | None, bare: Bare) -> Iterator[str]:
    word = "serial is" if _serial(best) else "threads are"
    if not _serial(best) and bare.waits > WAITS:
        yield f"its calls wait for {bare.waits:.0%} of their time, and threads wait side by side"
    if apart is not None:
        small = "the work is too small for processes: " if bare.waits <= WAITS else ""
        yield f"{small}{word} {times(apart.seconds, best.seconds)} as fast as {apart.name} ({_spans(best, apart)})"
    yield "its calls run in the runner itself: one that crashes ends the run, and none can be ended at a timeout"


def _seconds(way: Way) -> float:
    return way.seconds


def _serial(way: Way) -> bool:
    return way.choice.backend.in_process and not way.choice.method.parallel


def _spans(best: Way, other: Way) -> str:
    calls = "1 call" if best.calls == 1 else f"{best.calls:,} calls"
    return f"{short(best.seconds)} against {short(other.seconds)} for {calls}"


def times(slow: float, fast: float) -> str:
    ratio = slow / max(fast, 1e-9)
    return f"{ratio:.2g} ×" if ratio < 100 else f"{ratio:,.0f} ×"
