"""The options of `prun run`; what it does is in `go`."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline_runner.cli import options
from pipeline_runner.cli.go import Asked, go

Shown = Annotated[
    list[str] | None,
    typer.Option("--show", metavar="STAGE", help="Also show this stage's values; `all` for every stage's."),
]


def register(app: typer.Typer) -> None:
    app.command("run", help="Run a pipeline. `prun FILE` is the same.")(command)


def command(
    file: options.AnyFile = None,
    stages: options.Stages = None,
    given: options.Given = None,
    params: options.Params = None,
    profile: options.Profile = None,
    workers: options.Workers = None,
    keep_going: Annotated[
        bool, typer.Option("-k", "--keep-going", help="After a failure, let everything independent end.")
    ] = False,
    until: options.Until = None,
    since: options.Since = None,
    only: options.Only = None,
    sample: options.Sample = None,
    force: options.Force = False,
    no_cache: options.NoCache = False,
    dry_run: Annotated[
        bool, typer.Option("-n", "--dry-run", help="Say what would be run and why, as `prun plan`, and run nothing.")
    ] = False,
    resume: options.Resume = None,
    state: options.State = None,
    chaos: Annotated[
        str | None,
        typer.Option("--chaos", metavar="kill=P", help="Kill workers at random, to see that nothing is lost."),
    ] = None,
    show: Shown = None,
    report: Annotated[
        str | None,
        typer.Option("--report", metavar="FILE.html", help="When it has ended, write one HTML file about it."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress, only results and errors.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Say more about what happens.")] = False,
) -> None:
    raise typer.Exit(go(Asked(**locals())))
