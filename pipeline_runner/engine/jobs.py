"""From a chain of the plan to the job that its workers are told."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Mapping, Sequence
from functools import cache

from pipeline_runner.axes import Style
from pipeline_runner.calls import Unfilled
from pipeline_runner.plan.plan import StagePlan
from pipeline_runner.plan.threads import variables
from pipeline_runner.record.inputs import of_values
from pipeline_runner.spec.pipeline import Command, Function, Given, InFile, Named, PipelineSpec, Source, StageSpec, Zip
from pipeline_runner.syntax.expressions import ExpressionError, references, render
from pipeline_runner.typed import TYPE_CHECKING, Any, Literal
from pipeline_runner.worker.job import FunctionSource, Job, Step
from pipeline_runner.worker.packing import pack

if TYPE_CHECKING:
    from pipeline_runner.engine.places import Writing


def job(pipeline: PipelineSpec, stages: Sequence[StagePlan], constants: Sequence[Any], wanted: Sequence[bool]) -> Job:
    """Describe a chain to its workers. `constants` are each stage's `with`, all references filled in.

    Errors: what dill raises for a function or a constant that it cannot ship.
    """
    steps = tuple(step_of(plan, given, want) for plan, given, want in zip(stages, constants, wanted, strict=True))
    head = stages[0].spec
    return Job(
        folder=str(pipeline.folder_of(head)),
        steps=steps,
        setup=None if head.setup is None else function_source(head.setup),
        setup_with=pack(dict(head.setup_with)),
        env=environment(pipeline, stages[0]),
        workdir=workdir(pipeline, head),
    )


def step_of(plan: StagePlan, given: Any, wanted: bool) -> Step:
    """One stage as a worker runs it. Errors: what dill raises for a function or a constant that it cannot ship."""
    return Step(
        stage=plan.spec.name,
        function=function_source(plan.spec.function),
        style=_style(plan),
        names=plan.spec.over.names if isinstance(plan.spec.over, Zip) else (),
        constants=pickle.dumps(given, pickle.HIGHEST_PROTOCOL) if of_values(given) else pack(given),
        wanted=wanted,
        outs=bool(plan.spec.outs),
    )


def job_of_each(pipeline: PipelineSpec, plan: StagePlan) -> Job:
    """The job of calls that bring their own steps, in the surroundings of this stage."""
    nothing = Step("", FunctionSource("module", "", ""), None, (), pack({}), wanted=False)
    return Job(
        folder=str(pipeline.folder_of(plan.spec)),
        steps=(nothing,),
        setup=None,
        setup_with=pack({}),
        env=environment(pipeline, plan),
        workdir=workdir(pipeline, plan.spec),
        each=True,
    )


def _style(plan: StagePlan) -> Style | None:
    """How an item becomes arguments: of columns a row of them, in whatever shape the pool is asked."""
    if plan.spec.over is None:
        return None
    return Style.ZIP if isinstance(plan.spec.over, Zip) else plan.choice.style


def environment(pipeline: PipelineSpec, plan: StagePlan) -> tuple[tuple[str, str], ...]:
    # A fork server that was started before a secret was set would not hand it on.
    secrets = {secret.name: secret.value for secret in pipeline.secrets if secret.value is not None}
    return tuple(sorted({**variables(plan.threads), **secrets, **pipeline.env, **plan.spec.env}.items()))


def workdir(pipeline: PipelineSpec, stage: StageSpec) -> str:
    """Where calls run; empty: in the pipeline's folder."""
    return "" if stage.workdir is None else os.path.abspath(pipeline.folder_of(stage) / stage.workdir)


def function_source(function: Function | Command) -> FunctionSource:
    """How a worker finds the function. Errors: what dill raises."""
    match function:
        case Named(module, attribute):
            return _written("module", module, attribute)
        case InFile(path, attribute):
            return _written("file", path, attribute)
        case Given(given):
            return FunctionSource("pickle", "", str(function), pack(given))
        case Command(stdout=stdout):
            return FunctionSource("shell", "", stdout)


@cache
def _written(kind: Literal["module", "file"], where: str, attribute: str) -> FunctionSource:
    """One for all stages that name it."""
    return FunctionSource(kind, where, attribute)


def per_call(template: Any) -> bool:
    """Whether a `with` is different for each call."""
    return any(reference.root in ("item", "index", "out", "outs") for reference in references(template))


def item_of(over: Source | None) -> Callable[[Sequence[Any]], Any]:
    """What `${item}` is, from one value of each column: of a zip by name, a mapping."""
    match over:
        case Zip(names=names) if names:
            return lambda row: dict(zip(names, row, strict=True))
        case Zip():
            return tuple
        case _:
            return lambda row: row[0]


def keywords_of(
    template: Mapping[str, Any], writing: Writing | None = None
) -> Callable[[int, Any], dict[str, Any] | Unfilled]:
    """The part of a `with` that speaks of ${item}, ${index} or ${out}, as a function of the first two."""

    def keywords(index: int, item: Any) -> dict[str, Any] | Unfilled:
        scope = {"item": item, "index": index}
        try:
            if writing is None:
                filled: dict[str, Any] = render(template, scope)
                return filled
            from pipeline_runner.engine.places import keyword, names

            places = writing.places(index, item)
            return {**render(template, {**scope, **names(places)}), **keyword(places)}
        except ExpressionError as error:
            return Unfilled(error.message)

    return keywords
