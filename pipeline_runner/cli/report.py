"""`prun report RUN`: a run as one page for a browser."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline_runner.cli import kept, onward, options
from pipeline_runner.cli.kept import Run


def register(app: typer.Typer) -> None:
    app.command(name="report")(report)


def report(
    run: Run,
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE", help="Write it there.", show_default="RUN.html")
    ] = None,
    state: options.State = None,
) -> None:
    """Write one HTML file about a run: its graph, when each stage ran, where time went, what failed and how."""
    from pipeline_runner.pages import page
    from pipeline_runner.pages.account import account
    from pipeline_runner.pages.target import Target

    history = kept.history(state)
    name = history.find(run)
    target = Target(output or f"{name}.html")
    following = onward.following(name, history.told(name).about, history.store.folder)
    target.write(page.report(account(history, name, following)))
    typer.echo(f"report: {target.path}", err=True)
