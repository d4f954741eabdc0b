"""`prun plan`: what would run, in which company, by which method, and why."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from pipeline_runner.cli import options
from pipeline_runner.cli.load import load


def register(app: typer.Typer) -> None:
    app.command(name="plan")(plan)


def plan(
    file: options.File,
    stages: options.Stages = None,
    given: options.Given = None,
    params: options.Params = None,
    profile: options.Profile = None,
    workers: options.Workers = None,
    until: options.Until = None,
    since: options.Since = None,
    only: options.Only = None,
    sample: options.Sample = None,
    force: options.Force = False,
    no_cache: options.NoCache = False,
    state: options.State = None,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Show the plan of a pipeline: what would be run and what reused, and why; each stage's method, why, and what came
    second; groups and waves."""
    from pipeline_runner.cli.onward import with_their_words
    from pipeline_runner.pipeline import Pipeline
    from pipeline_runner.plan.preflight.look import refuse
    from pipeline_runner.record.foretell import refuse_missing
    from pipeline_runner.spec.hidden import mask_of

    pipeline = Pipeline.of(load(file, given, params, profile)).part(
        stages=stages or (), until=until or (), since=since or (), only=only or (), sample=sample
    )
    for warning in refuse(pipeline.plan(workers=workers, state=state)):
        typer.echo(f"warning: {warning}", err=True)
    made = pipeline.forecast(workers=workers, state=state, force=force, cache=not no_cache)
    told = json.dumps(made.to_json(), indent=2, ensure_ascii=False) if as_json else made.explain().rstrip("\n")
    typer.echo(mask_of(pipeline.spec).text(told))
    with with_their_words(file, p=given, params=params, profile=profile, sample=sample, state=state):
        refuse_missing(made.plan, made)  # as the run would
