"""Every problem of a pipeline that can be found without running it."""

from __future__ import annotations

import builtins

from pipeline_runner.backends import Table
from pipeline_runner.classes import replace
from pipeline_runner.errors import Problem, Problems, in_order
from pipeline_runner.plan.links import links
from pipeline_runner.plan.make import attempt
from pipeline_runner.plan.plan import Plan
from pipeline_runner.plan.preflight.look import look_at
from pipeline_runner.spec.pipeline import PipelineSpec, StageSpec
from pipeline_runner.spec.sources import endless


def problems(spec: PipelineSpec, *, table: Table | None = None) -> list[Problem]:
    """What would keep the pipeline from being planned, in the order of the stages; empty: nothing."""
    return attempt(spec, table=table)[1]


def cautions(plan: Plan) -> list[str]:
    """What may go wrong with a plan that can be run, a sentence each."""
    return [*_endless(plan), *_misspelt(plan)]


def _endless(plan: Plan) -> list[str]:
    return [
        f'{_place(stage.spec)}stage "{name}" reads all of its generator before it starts, since '
        f"{stage.choice.method.name} wants its whole input; if it has no end, bound it with `take`"
        for name, stage in plan.stages.items()
        if endless(stage.spec.over) and not stage.choice.method.lazy
    ]


# A class of the user's own may be called anything, so a word that is almost one of these is no error.
_CAUSES = ("lost", "timeout", "memory")
_TOLD = ("Timeout", "CommandFailed")  # our words for how a call ended, which people read and write
_RAISED = tuple(
    name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, BaseException)
)


def _misspelt(plan: Plan) -> list[str]:
    """Words of `retry: {on: …}` by which no call may ever be tried again."""
    return [
        f'{_place(stage.spec, "retry")}stage "{name}" tries again on "{word}", which is no exception of Python; '
        f'did you mean "{near}"? If it is a class of your own, all is well'
        for name, stage in plan.stages.items()
        for word in stage.spec.retry.on
        if (near := _almost(word))
    ]


def _almost(word: str) -> str | None:
    words = (*_TOLD, *_RAISED, *_CAUSES)
    if word in words:
        return None
    from difflib import get_close_matches

    known = {name.lower(): name for name in words}
    # 0.9 tells ValeuError from ValueError, and not httpx.ConnectError from ConnectionError
    return next((known[near] for near in get_close_matches(word.lower(), known, 1, 0.9)), None)


def _place(stage: StageSpec, key: str = "over") -> str:
    mark = stage.mark(key)
    return f"{mark}: " if mark else ""


def all_problems(found: Problems) -> list[Problem]:
    """What was found so far, and what planning finds in the stages that are sound, in the order of the file."""
    if not isinstance(found.sound, PipelineSpec):
        return list(found.problems)
    return in_order([*found.problems, *problems(_sound(found.sound))])


def everything(found: Problems, *, ask: bool = True) -> list[Problem]:
    """The same, with what those stages name and is not there. `ask` as for `look`."""
    if not isinstance(found.sound, PipelineSpec):
        return list(found.problems)
    sound = _sound(found.sound)
    others = {name: stage for name, stage in found.sound.stages.items() if name not in sound.stages}
    looked = look_at(
        sound, {**sound.stages, **sound.hooks}, ask=ask, only_functions=[*others.values(), *sound.unsound.values()]
    )
    return in_order([*found.problems, *problems(sound), *looked.problems])


def _sound(spec: PipelineSpec) -> PipelineSpec:
    """The stages that need none that is missing: what is wrong with a source is not told again by its readers."""
    stages = dict(spec.stages)
    while True:
        lost = [name for name, stage in stages.items() if any(link.source not in stages for link in links(stage))]
        if not lost:
            return replace(spec, stages=stages)
        for name in lost:
            del stages[name]
