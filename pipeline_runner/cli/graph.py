"""`prun graph`: the stages of a pipeline as a picture."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline_runner.cli.load import load
from pipeline_runner.cli.options import File, Given, Params, Profile, Workers

if TYPE_CHECKING:
    from pipeline_runner.plan.plan import Plan


class Format(StrEnum):
    TEXT = "text"
    MERMAID = "mermaid"
    DOT = "dot"
    SVG = "svg"
    HTML = "html"


def register(app: typer.Typer) -> None:
    app.command(name="graph")(graph)


def graph(
    file: File,
    form: Annotated[Format, typer.Option("--format", help="A tree in text, a picture, or a page.")] = Format.TEXT,
    given: Given = None,
    params: Params = None,
    profile: Profile = None,
    workers: Workers = None,
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE", help="Write it there.", show_default="stdout")
    ] = None,
) -> None:
    """Draw the stages of a pipeline and how they read one another."""
    from pipeline_runner.plan.make import make_plan

    target = None
    if output is not None:
        from pipeline_runner.pages.target import Target

        target = Target(output)
    drawn = _drawn(make_plan(load(file, given, params, profile), workers=workers), form)
    if target is None:
        typer.echo(drawn, nl=False)
    else:
        target.write(drawn)


def _drawn(plan: Plan, form: Format) -> str:
    if form is Format.HTML:
        from pipeline_runner.pages.page import graph as page

        return page(plan)
    from pipeline_runner.plan.draw import draw

    return draw(plan, form)
