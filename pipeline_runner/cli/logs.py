"""`prun logs RUN [STAGE[ITEM]]`: what calls printed, each line with the call that printed it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline_runner.cli import kept, options
from pipeline_runner.cli.kept import Run
from pipeline_runner.errors import UsageError
from pipeline_runner.reporters.plain import line_of

if TYPE_CHECKING:
    from pipeline_runner.events import Printed
    from pipeline_runner.record.history import History


def register(app: typer.Typer) -> None:
    app.command(name="logs")(logs)


def logs(
    run: Run,
    call: Annotated[
        str | None,
        typer.Argument(metavar="[STAGE[ITEM]]", help="Only of this stage, or of this call.", show_default=False),
    ] = None,
    stdout: Annotated[bool, typer.Option("--stdout", help="Only what went to stdout.")] = False,
    stderr: Annotated[bool, typer.Option("--stderr", help="Only what went to stderr.")] = False,
    state: options.State = None,
) -> None:
    """Show what a run's calls printed. Lines that went to stderr say so."""
    if stdout and stderr:
        raise UsageError("--stdout and --stderr cannot go together; without either, both are shown")
    history = kept.history(state)
    name = history.find(run)
    stage, item = (None, None) if call is None else wanted(history, name, call)
    streams = ("stdout",) if stdout else ("stderr",) if stderr else ("stdout", "stderr")
    if not show(history, name, stage, item, streams):
        typer.echo(f"nothing was captured of {call or 'run ' + name}", err=True)


def show(history: History, run: str, stage: str | None, item: int | None, streams: Sequence[str]) -> bool:
    """Print the lines as they are read, however many there are. Whether there were any."""
    some = False
    for printed in history.lines(run, stage, item):
        if printed.stream in streams:
            typer.echo(as_text(printed))
            some = True
    return some


def as_text(printed: Printed) -> str:
    call = "" if printed.index is None else f"[{printed.index}]"
    stream = " stderr" if printed.stream == "stderr" else ""
    return f"{printed.stage}{call}{stream}: {line_of(printed.line)}"


def wanted(history: History, run: str, call: str) -> tuple[str, int | None]:
    """The stage, and item, of a run. Errors: UnknownCall, UsageError."""
    from pipeline_runner.record.history import UnknownCall

    stage, item = kept.stage_and_item(call)
    stages = history.state(run).stages
    if item is None and any(name.startswith(f"{stage}.") for name in stages):
        return stage, None  # a pipeline in the pipeline
    if stage not in stages:
        raise UnknownCall(run, stage, list(stages))
    calls = stages[stage].calls
    if item is not None and calls is not None and item >= calls:
        raise UnknownCall(run, stage, list(stages), item, calls)
    return stage, item
