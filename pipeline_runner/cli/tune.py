"""`prun tune`: a sample of a stage's own items through every method that fits, and the best of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline_runner.cli import options
from pipeline_runner.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from pipeline_runner.pipeline import Pipeline
    from pipeline_runner.plan.plan import Plan
    from pipeline_runner.spec.pipeline import PipelineSpec, StageName
    from pipeline_runner.tuning.tune import Tuned

Stage = Annotated[
    str | None,
    typer.Argument(metavar="[STAGE]", help="The stage; by default every one that has items.", show_default=False),
]
Items = Annotated[
    int | None,
    typer.Option(
        "-n",
        "--items",
        metavar="N",
        min=1,
        help="How many of its items; by default those of about half a second.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    app.command(name="tune")(tune)


def tune(
    file: options.File,
    stage: Stage = None,
    given: options.Given = None,
    params: options.Params = None,
    profile: options.Profile = None,
    workers: options.Workers = None,
    items: Items = None,
    rounds: Annotated[int, typer.Option("--rounds", metavar="N", min=1, help="How often each method is tried.")] = 3,
    write: Annotated[
        bool, typer.Option("--write", help="Write the best as `method` into FILE; all else stays.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Also tune stages that run commands or write files, again and again.")
    ] = False,
    state: options.State = None,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress, only the results.")] = False,
) -> None:
    """Call a stage's function on a sample of its own items by every method that fits, and print how long each took; its
    calls are made many times over."""
    from pipeline_runner.cli.load import load
    from pipeline_runner.pipeline import Pipeline
    from pipeline_runner.spec.hidden import mask_of
    from pipeline_runner.tuning import telling
    from pipeline_runner.tuning.pin import pin
    from pipeline_runner.tuning.tune import tune as tune_stage

    spec = load(file, given, params, profile)
    pipeline = Pipeline.of(spec)
    plan, mask = pipeline.plan(workers=workers, state=state), mask_of(spec)
    stages: dict[str, object] = {}
    progress = Progress(quiet)
    for name in _stages(plan, stage, yes, progress):
        tuned = tune_stage(
            plan,
            name,
            store=pipeline.store(state),
            items=items,
            rounds=rounds,
            yes=yes,
            tell=progress.tell,
            progress=progress.at,
        )
        progress.done()
        _remember(pipeline, plan, tuned, state, progress)
        keys = {} if tuned.verdict is None else tuned.verdict.keys
        if not as_json:
            typer.echo(mask.text(("\n" if stages else "") + telling.as_text(tuned)))
        mark = pin(spec, name, keys, lambda: load(file, given, params, profile)) if write and keys else None
        if mark is not None:
            progress.tell(f"{mark}: {', '.join(f'{key}: {value}' for key, value in keys.items())}")
        stages[name] = mask.whole(telling.as_json(tuned, mark))
    if as_json:
        typer.echo(json.dumps({"pipeline": spec.name, "file": spec.file, "stages": stages}, ensure_ascii=True))


def _remember(pipeline: Pipeline, plan: Plan, tuned: Tuned, state: str | None, progress: Progress) -> None:
    """Let later runs know what was measured. Where that cannot be kept, it is told and nothing else is lost."""
    from datetime import date

    from pipeline_runner.pipeline import state_folder
    from pipeline_runner.record.errors import StoreError
    from pipeline_runner.record.store import Store
    from pipeline_runner.record.tuned import keep
    from pipeline_runner.tuning.tune import measured

    folder = state_folder(pipeline.spec, state)
    if folder is None or tuned.verdict is None:
        return
    try:
        keep(Store(folder).folder, plan, tuned.stage.spec.name, measured(tuned, f"prun tune, {date.today()}"))
    except (StoreError, OSError) as refused:
        progress.tell(f"what was measured is not kept: {refused}")


def _stages(plan: Plan, stage: str | None, yes: bool, progress: Progress) -> Sequence[StageName]:
    """The stages that are meant. Errors: UsageError."""
    from pipeline_runner.tuning.tune import unsafe

    spec: PipelineSpec = plan.pipeline
    if stage is not None:
        if not spec.named(stage):
            known = [*spec.stages, *spec.composed]
            raise UsageError(
                f'there is no stage "{stage}"{did_you_mean(stage, known)}\n  the stages are: {", ".join(spec.stages)}'
            )
        return spec.named(stage)
    with_items = [name for name, one in plan.stages.items() if one.spec.over is not None and name not in plan.skipped]
    for name in with_items:
        if not yes and (why := unsafe(plan.stages[name].spec)):
            progress.tell(f"{name}: left out, since it {why}; --yes tunes it too")
    chosen = [name for name in with_items if yes or not unsafe(plan.stages[name].spec)]
    if not chosen:
        raise UsageError("no stage with items is left to tune; name one: prun tune FILE STAGE")
    return chosen


class Progress:
    """What is being done, on stderr: on a terminal the trials in one line that is written over."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._live = sys.stderr.isatty() and not quiet

    def tell(self, line: str) -> None:
        """A line that stays."""
        self.done()
        if not self._quiet:
            typer.echo(line, err=True)

    def at(self, line: str) -> None:
        """What is tried now."""
        if self._live:
            sys.stderr.write(f"\r\x1b[K{line}")
            sys.stderr.flush()
        elif not self._quiet:
            typer.echo(line, err=True)

    def done(self) -> None:
        if self._live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
