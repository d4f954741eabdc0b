"""`prun show RUN`: one run in full, as it ended or as it stands."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline_runner.cli import kept, onward, options
from pipeline_runner.cli.kept import Run
from pipeline_runner.reporters.times import took, when

if TYPE_CHECKING:
    from pipeline_runner.record.history import History, Told
    from pipeline_runner.state import RunState

RECIPE = 8  # hexadecimal digits of a recipe that are shown: enough to see that two are not the same


def register(app: typer.Typer) -> None:
    app.command(name="show")(show)


def show(
    run: Run,
    state: options.State = None,
    as_json: Annotated[bool, typer.Option("--json", help="The object that `prun --json` prints.")] = False,
) -> None:
    """Show one run: its stages, its parameters, its failures grouped, and how to go on with it."""
    history = kept.history(state)
    name = history.find(run)
    told, ended = history.told(name), history.state(name)
    if as_json:
        typer.echo(json.dumps(as_data(history, told, ended), ensure_ascii=True, allow_nan=False))
    else:
        typer.echo("\n".join(as_text(history, told, ended)))


def as_text(history: History, told: Told, state: RunState) -> Iterator[str]:
    from pipeline_runner.reporters.summary import failures

    following = onward.following(told.run, told.about, history.store.folder)
    yield f"{told.run}  {told.pipeline}  {told.status or 'running'}"
    yield ""
    yield from (f"{title:<9}{text}" for title, text in _facts(told) if text)
    yield ""
    yield _stages(state, told.about.get("recipes", {}), "unfinished" if told.status else "running")
    yield from (text for text, _ in failures(state.failures, following))
    if told.owes:
        yield ""
        yield f"go on with what it owes: {following.resume}"


def _facts(told: Told) -> Iterator[tuple[str, str]]:
    about = told.about
    yield "file", str(onward.file_of(about)) if about.get("file") else f"made in Python, in {about.get('folder', '?')}"
    tries = f", in {told.tries} tries" if told.tries > 1 else ""
    span = f", took {took(told.took_s)}" if told.status else ", at work now"
    yield "began", f"{when(told.began)}{span}{tries}"
    yield "workers", str(about.get("workers", "?"))
    yield "params", ", ".join(f"{name}={json.dumps(value)}" for name, value in about.get("given", {}).items())
    yield "profile", about.get("profile") or ""


def _stages(state: RunState, recipes: Mapping[str, str | None], begun: str) -> str:
    rows = [["stage", "status", "calls", "done", "reused", "failed", "retried", "took", "recipe", "method"]]
    for name, stage in state.told():
        counts = ["?" if stage.calls is None else stage.calls, stage.done, stage.reused, stage.failed, stage.retried]
        if not stage.started and not stage.done:
            counts = [""] * 5
        status = str(stage.status or (begun if stage.started else "not begun"))
        with_whom = f" with {stage.fused_into}" if stage.fused_into else ""
        span = took(stage.seconds) if stage.status and stage.started else ""
        recipe = (recipes.get(name) or "")[:RECIPE]
        rows.append([name, status, *map(str, counts), span, recipe, stage.why or f"{stage.method}{with_whom}"])
    return kept.table(rows, frozenset(range(2, 8)))


def as_data(history: History, told: Told, state: RunState) -> dict[str, Any]:
    """The object that `prun --json` prints, as far as the store can tell it."""
    from pipeline_runner.running import run_as_json

    shapes = told.about.get("stages", {})

    def value(name: str) -> Sequence[Any]:
        shape = shapes.get(name, {"read": True})
        return [] if shape["read"] else _value(history, told, state, name, shape["gives"])

    return run_as_json(state, str(told.status or "running"), {}, value)


def _value(history: History, told: Told, state: RunState, stage: str, gives: str) -> Sequence[Any]:
    """The stage's result as the only one of a list; none where some of it is missing, or cannot be read here."""
    from pipeline_runner.worker.functions import add_to_path

    if gives == "none":
        return [None]
    add_to_path(str(told.about.get("folder", ".")))  # the classes of values are found where the pipeline is
    rows = history.rows(told.run, stage, as_they_came=gives == "unordered", calls=state.stages[stage].calls)
    packs = [row.pack for row in rows]
    try:
        values = [value for pack in packs if pack is not None for value in pack.values()]
    except Exception:  # its class is not there any more, or has changed: whatever unpickling it raises
        return []
    if len(values) != state.stages[stage].done:
        return []
    return values[:1] if gives == "value" else [values]
