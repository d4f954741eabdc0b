"""`prun validate`: every problem of every file at once, for people, programs and GitHub."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline_runner.cli.checking import Format, checked


def register(app: typer.Typer) -> None:
    app.command(name="validate")(validate)


def validate(
    files: Annotated[list[str], typer.Argument(metavar="FILE…", help="The pipelines to check.", show_default=False)],
    form: Annotated[Format, typer.Option("--format", help="For people, programs or GitHub.")] = Format.TEXT,
    profile: Annotated[str | None, typer.Option("--profile", help="Check with this profile.")] = None,
) -> None:
    """Check pipelines and tell every problem, each with its line."""
    raise typer.Exit(checked(files, form, profile))
