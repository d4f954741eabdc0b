"""`prun diff RUN RUN`: what changed from one run to another."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline_runner.cli import kept, onward, options
from pipeline_runner.errors import UsageError
from pipeline_runner.reporters.plain import plain
from pipeline_runner.reporters.times import took, when

if TYPE_CHECKING:
    from pipeline_runner.record.compare import Comparison, End, Pair, StageChange
    from pipeline_runner.record.history import History, Told
    from pipeline_runner.record.items import Items

MOST = 5  # items that are named
WIDEST = 60  # characters of a parameter's value
TELLING = 1.2  # times as long, or as short, is told, if it is also
TELLING_S = 0.1

_Words = Callable[["End"], str]


def register(app: typer.Typer) -> None:
    app.command(name="diff")(diff)


def diff(
    first: Annotated[
        str | None,
        typer.Argument(metavar="[RUN", help="A run: its name, the beginning of it, or `last`.", show_default=False),
    ] = None,
    second: Annotated[
        str | None, typer.Argument(metavar="[RUN]]", help="The one that is held against it.", show_default=False)
    ] = None,
    state: options.State = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as one JSON object.")] = False,
) -> None:
    """Tell what changed from the first run to the second: what they were given, their stages, ends and values.

    With one RUN: from the run before it, of the same pipeline, to this one. With none: to the last one.
    """
    from pipeline_runner.record.compare import compare

    history = kept.history(state)
    told = compare(history, *_both(history, first, second))
    if as_json:
        typer.echo(json.dumps(as_data(told), ensure_ascii=True, allow_nan=False))
    else:
        typer.echo("\n".join(as_text(told)))


def _both(history: History, first: str | None, second: str | None) -> tuple[str, str]:
    """The runs that are meant. Errors: UsageError."""
    run = history.find(first or "last")
    if second is not None:
        return run, history.find(second)
    before = history.before(run)
    if before is None:
        raise UsageError(
            f"run {run} is the first of its pipeline that is kept: there is none to hold it against\n"
            "  name two runs: prun diff RUN RUN; `prun runs` lists them"
        )
    return before, run


# ---------------------------------------------------------------------------------------- for people


def as_text(told: Comparison) -> Iterator[str]:
    then, now = told.then, told.now
    runs = f"{then.run} → {now.run}  {_pipelines(told)}"
    if not told.changed:
        unknown = [stage.name for stage in told.stages if _values(stage) not in ("", "same")]
        but = f", as far as is known: not all values of {', '.join(unknown)} could be compared" if unknown else ""
        yield f"{runs}: nothing changed{but}; took {_span(then.took_s, now.took_s, alike=True)}"
        return
    yield runs
    yield ""
    yield from (f"{title:<9}{text}" for title, text in _facts(told))
    yield ""
    yield _stages(told.stages)
    for stage in told.stages:
        if lines := list(_about(stage)):
            yield ""
            yield f"{stage.name}:"
            yield from (f"  {plain(line)}" for line in lines)


def _pipelines(told: Comparison) -> str:
    if told.pipelines == 1:
        return told.now.pipeline
    then, now = (f"{one.pipeline} ({_file(one)})" for one in (told.then, told.now))
    return f"two pipelines: {then} → {now}"


def _file(told: Told) -> str:
    return str(onward.file_of(told.about)) if told.about.get("file") else "made in Python"


def _facts(told: Comparison) -> Iterator[tuple[str, str]]:
    then, now = told.then, told.now
    yield "ended", _both_ways(str(then.status or "running"), str(now.status or "running"))
    yield "took", _span(then.took_s, now.took_s, alike=then.status == now.status)
    for name, pair in told.options.items():
        yield name, _pair(pair, _said)
    for number, (name, pair) in enumerate(told.params.items()):
        yield "" if number else "params", f"{plain(name)} {_pair(pair, _short)}"


def _pair(pair: Pair, words: Callable[[Any], str]) -> str:
    """What a parameter or option was, and is."""
    then, now = (words(pair[side]) if side in pair else None for side in ("then", "now"))
    if then is None:
        return f"{now} (new)"
    return f"{then} (gone)" if now is None else f"{then} → {now}"


def _said(value: Any) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
    return str(value)


def _short(value: Any) -> str:
    text = "none" if value is None else json.dumps(value, ensure_ascii=False)
    return plain(text if len(text) <= WIDEST else f"{text[:WIDEST]}…")


def _both_ways(then: str, now: str) -> str:
    return now if then == now else f"{then or '–'} → {now or '–'}"


def _span(then: float, now: float, *, alike: bool) -> str:
    """Two spans of time; `alike`: of what ended alike, so that the one may be held against the other."""
    text = _both_ways(took(then), took(now))
    short, long = sorted((then, now))
    if not alike or long - short < TELLING_S or not short or long / short < TELLING:
        return text
    return f"{text}, {long / short:.1f} × {'slower' if now > then else 'faster'}"


def _stages(stages: Sequence[StageChange]) -> str:
    columns: Sequence[_Words] = (
        lambda end: end.status,
        lambda end: "?" if end.calls is None else str(end.calls),
        lambda end: str(end.failed),
        lambda end: str(end.retried),
    )
    rows = [["", "stage", "status", "calls", "failed", "retried", "took", "values"]]
    for stage in stages:
        ends = [_column(stage, words) for words in columns]
        rows.append([_SIGNS[stage.kind], _name(stage), *ends, _took(stage), _values(stage)])
    return kept.table(rows)


_SIGNS = {"added": "+", "removed": "-", "renamed": ">", "changed": "*", "same": ""}


def _name(stage: StageChange) -> str:
    return f"{stage.was} → {stage.name}" if stage.kind == "renamed" else stage.name


def _column(stage: StageChange, words: _Words) -> str:
    if stage.then is None or stage.now is None:
        return "".join(words(end) for end in (stage.then, stage.now) if end is not None)
    return _both_ways(words(stage.then), words(stage.now))


def _took(stage: StageChange) -> str:
    if stage.then is None or stage.now is None:
        return "".join(took(end.seconds) for end in (stage.then, stage.now) if end is not None)
    return _span(stage.then.seconds, stage.now.seconds, alike=stage.then.status == stage.now.status)


def _values(stage: StageChange) -> str:
    """Whether the values are what they were, in a few words."""
    if stage.then is None or stage.now is None or not (stage.then.done and stage.now.done):
        return ""
    items = stage.items
    if not items.compared:
        return "" if items.whole else "not kept"  # there may be no call that ended well in both
    if items.differ:
        among = "of the first" if items.cut else "of"
        return "differs" if _one(stage) else f"{len(items.differ)} {among} {items.compared} differ"
    if items.whole:
        return "same"
    return f"same in {'the first ' if items.cut else ''}{items.compared}"


def _about(stage: StageChange) -> Iterator[str]:
    """Why a stage is not what it was, and which of its items are not."""
    then, now, items = stage.then, stage.now, stage.items
    if then is None or now is None:
        return
    if stage.recipe == "changed":
        yield ", ".join(stage.why) or "its recipe has changed"
    elif stage.why:
        yield ", ".join(stage.why)
    elif stage.recipe == "unknown" and stage.otherwise:
        yield "whether it computes the same is not known: what it calls could not be described"
    if then.method != now.method and then.method and now.method:
        yield f"method {then.method} → {now.method}"
    # Where the reason that was told is one for all of them, each would only say it again.
    yield from _items(items, _one(stage), given=len(items.given) < items.both or not stage.why)
    if only := [item for item in items.only_then if item not in now.failures]:
        yield f"ended well only then: {_named(only)}"
    if only := [item for item in items.only_now if item not in then.failures]:
        yield f"ended well only now: {_named(only)}"
    yield from _failures(then, now, _one(stage))


def _one(stage: StageChange) -> bool:
    """Whether it is one call in both runs, and need not be numbered."""
    return all(end is not None and end.calls == 1 for end in (stage.then, stage.now))


def _items(items: Items, one: bool, *, given: bool) -> Iterator[str]:
    among = "of the first" if items.cut else "of"
    if items.given and given:
        yield (
            "its call was given something else"
            if one
            else f"given something else: {len(items.given)} {among} {items.both} items: {_named(items.given)}"
        )
    if items.differ:
        yield (
            "its value differs"
            if one
            else f"values differ in {len(items.differ)} {among} {items.compared} items: {_named(items.differ)}"
        )


def _named(numbers: Sequence[int]) -> str:
    more = f" and {len(numbers) - MOST} more" if len(numbers) > MOST else ""
    return ", ".join(map(str, numbers[:MOST])) + more


def _failures(then: End, now: End, one: bool) -> Iterator[str]:
    """Items that fail now and did not, each with its first line; and those that do not any more."""
    new = [item for item in sorted(now.failures) if item not in then.failures]
    for item in new[:MOST]:
        call = "it" if one or item < 0 else f"item {item}"
        yield f"{call} fails now: {now.failures[item].partition(chr(10))[0]}"
    if len(new) > MOST:
        yield f"and {len(new) - MOST} more fail now"
    cured = [item for item in sorted(then.failures) if item not in now.failures and item >= 0]
    if cured:
        yield "it failed then" if one else f"failed then and not now: {_named(cured)}"


# ---------------------------------------------------------------------------------------- for programs


def as_data(told: Comparison) -> dict[str, Any]:
    """All of it as one object; what is no item of both runs has only one side."""
    return {
        "then": _run(told.then),
        "now": _run(told.now),
        "changed": told.changed,
        "same_pipeline": told.pipelines == 1,
        "options": told.options,
        "params": told.params,
        "stages": {stage.name: _stage(stage) for stage in told.stages},
    }


def _run(told: Told) -> dict[str, Any]:
    return {
        "run": told.run,
        "pipeline": told.pipeline,
        "file": _file(told) if told.about.get("file") else None,
        "began": when(told.began),
        "status": str(told.status or "running"),
        "seconds": round(told.took_s, 6),
    }


def _stage(stage: StageChange) -> dict[str, Any]:
    items = stage.items
    return {
        "change": stage.kind,
        "was": stage.was if stage.kind == "renamed" else None,
        "recipe": stage.recipe if stage.then and stage.now else None,
        "why": list(stage.why),
        "then": _end(stage.then),
        "now": _end(stage.now),
        "given": {"items": items.both, "differ": list(items.given)},
        "values": {"items": items.compared, "differ": list(items.differ), "all": items.whole},
        "only_then": list(items.only_then),
        "only_now": list(items.only_now),
    }


def _end(end: End | None) -> dict[str, Any] | None:
    if end is None:
        return None
    return {
        "status": end.status,
        "method": end.method,
        "calls": end.calls,
        "done": end.done,
        "failed": end.failed,
        "retried": end.retried,
        "seconds": round(end.seconds, 6),
        "failures": {str(item): message for item, message in sorted(end.failures.items())},
    }
