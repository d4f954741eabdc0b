"""`prun runs`: the runs that are kept, the newest first."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline_runner.cli import kept, onward, options
from pipeline_runner.reporters.times import took, when

if TYPE_CHECKING:
    from pipeline_runner.record.history import Told
    from pipeline_runner.reporters.summary import Next


def register(app: typer.Typer) -> None:
    app.command(name="runs")(runs)


def runs(
    state: options.State = None,
    as_json: Annotated[bool, typer.Option("--json", help="As a JSON list.")] = False,
) -> None:
    """List the runs that are kept, the newest first, and how to go on with those that owe something."""
    history = kept.history(state)
    found = [(told, onward.following(told.run, told.about, history.store.folder)) for told in history.runs()]
    if as_json:
        typer.echo(json.dumps([_as_data(*each) for each in found], indent=2, ensure_ascii=True))
    elif found:
        typer.echo(as_text(found))
    else:
        typer.echo(f"no run is kept in {history.store.folder}", err=True)


def as_text(found: list[tuple[Told, Next]]) -> str:
    rows = [["run", "pipeline", "began", "took", "status", "done", "failed", "to go on"]]
    for told, following in found:
        span = took(told.took_s) if told.status else ""
        again = following.resume if told.owes else ""
        counts = [str(told.done), str(told.failed)]
        rows.append([told.run, told.pipeline, when(told.began), span, _status(told), *counts, again])
    return kept.table(rows, frozenset({3, 5, 6}))


def _as_data(told: Told, following: Next) -> dict[str, object]:
    return {
        "run": told.run,
        "pipeline": told.pipeline,
        "began": when(told.began),
        "seconds": round(told.took_s, 6),
        "status": _status(told),
        "done": told.done,
        "failed": told.failed,
        "tries": told.tries,
        "resume": following.resume if told.owes else None,
    }


def _status(told: Told) -> str:
    return str(told.status) if told.status else "running"
