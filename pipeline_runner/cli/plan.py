"""`prun plan`: what would run, in which company, by which method, and why."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from pipeline_runner.cli.options import File, Given, Params, Profile, Workers, load


def register(app: typer.Typer) -> None:
    app.command(name="plan")(plan)


def plan(
    file: File,
    given: Given = None,
    params: Params = None,
    profile: Profile = None,
    workers: Workers = None,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Show the plan of a pipeline: each stage's method, why, and what came second; groups and waves."""
    from pipeline_runner.plan.make import make_plan
    from pipeline_runner.plan.preflight.look import refuse
    from pipeline_runner.spec.secrets import mask_of

    made = make_plan(load(file, given, params, profile), workers=workers)
    for warning in refuse(made):
        typer.echo(f"warning: {warning}", err=True)
    told = json.dumps(made.to_json(), indent=2, ensure_ascii=False) if as_json else made.explain().rstrip("\n")
    typer.echo(mask_of(made.pipeline).text(told))
