"""`prun graph`: the stages of a pipeline as a picture."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipeline_runner.cli.load import load
from pipeline_runner.cli.options import File, Given, Params, Profile, Workers
from pipeline_runner.errors import UsageError


class Format(StrEnum):
    TEXT = "text"
    MERMAID = "mermaid"
    DOT = "dot"
    SVG = "svg"


def register(app: typer.Typer) -> None:
    app.command(name="graph")(graph)


def graph(
    file: File,
    form: Annotated[Format, typer.Option("--format", help="A tree in text, or the source of a picture.")] = Format.TEXT,
    given: Given = None,
    params: Params = None,
    profile: Profile = None,
    workers: Workers = None,
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE", help="Write it there.", show_default="stdout")
    ] = None,
) -> None:
    """Draw the stages of a pipeline and how they read one another."""
    from pipeline_runner.plan.draw import draw
    from pipeline_runner.plan.make import make_plan

    drawn = draw(make_plan(load(file, given, params, profile), workers=workers), form)
    if output is None:
        typer.echo(drawn, nl=False)
        return
    try:
        Path(output).write_text(drawn, encoding="utf-8")
    except OSError as error:
        raise UsageError(f'cannot write "{output}": {error.strerror}') from error
