"""A part of a pipeline: which stages run, and which only lend what they have made before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pipeline_runner.classes import dataclass, replace
from pipeline_runner.errors import UsageError, did_you_mean
from pipeline_runner.plan.links import links
from pipeline_runner.spec.pipeline import PipelineSpec, StageName


@dataclass(frozen=True)
class Part:
    """What of a pipeline is meant. Nothing said: all of it."""

    stages: Sequence[str] = ()  # only these, and what they need
    until: Sequence[str] = ()  # the same: up to these
    since: Sequence[str] = ()  # only these, and what is made of them; what they read is taken from before
    only: Sequence[str] = ()  # just these; what they read is taken from before
    sample: int | None = None  # so many items of each source that needs no stage


def part_of(spec: PipelineSpec, part: Part) -> tuple[PipelineSpec, frozenset[StageName]]:
    """The pipeline with only the stages that are meant and all that they need; and those of them that are not run.

    Errors: UsageError for a stage that there is not, for words that contradict each other, or a part that is empty.
    """
    _agreeing(part)
    if part.sample is not None and part.sample < 1:
        raise UsageError(f"a sample has at least 1 item, not {part.sample}")
    for name in (*part.stages, *part.until, *part.since, *part.only):
        if not spec.named(name):
            known = [*spec.stages, *spec.composed]
            raise UsageError(
                f'there is no stage "{name}"{did_you_mean(name, known)}\n  the stages are: {", ".join(spec.stages)}'
            )
    needed = {name: [link.source for link in links(stage)] for name, stage in spec.stages.items()}
    run = set(spec.stages)
    if part.stages or part.until:
        run &= _all(_names(spec, part.stages, part.until), needed)
    if part.since:
        run &= _all(_names(spec, part.since), _turned(needed))
    if part.only:
        run &= set(_names(spec, part.only))
    if not run:
        raise UsageError("no stage is left to run: what was asked for has no stage in common")
    kept = _all(run, needed)
    stages = {name: stage for name, stage in spec.stages.items() if name in kept}
    return replace(spec, stages=stages), frozenset(kept - run)


def _agreeing(part: Part) -> None:
    """Errors: UsageError, where just these stages are to run, and others beside them."""
    only = f"--only {', '.join(part.only)}"
    for word, names in (("STAGE", part.stages), ("--until", part.until), ("--from", part.since)):
        if part.only and names:
            other = f"{word} {', '.join(names)}"
            raise UsageError(
                f"{only} and {other} contradict each other: only runs just what it names\n  leave one of them out"
            )


def _names(spec: PipelineSpec, *groups: Sequence[str]) -> list[StageName]:
    return [stage for group in groups for name in group for stage in spec.named(name)]


def _all(start: Iterable[StageName], nexts: Mapping[StageName, Sequence[StageName]]) -> set[StageName]:
    """Some stages and all that is reached from them."""
    found: set[StageName] = set()
    todo = list(start)
    while todo:
        name = todo.pop()
        if name not in found and name in nexts:
            found.add(name)
            todo += nexts[name]
    return found


def _turned(nexts: Mapping[StageName, Sequence[StageName]]) -> dict[StageName, list[StageName]]:
    """The same ways, gone the other way round."""
    turned: dict[StageName, list[StageName]] = {name: [] for name in nexts}
    for name, targets in nexts.items():
        for target in targets:
            turned.setdefault(target, []).append(name)
    return turned
