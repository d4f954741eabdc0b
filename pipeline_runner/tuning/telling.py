"""What was measured, as a table for people and as plain data for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap

from pipeline_runner.marks import Mark
from pipeline_runner.plan.measured import short
from pipeline_runner.tuning.rounds import Way
from pipeline_runner.tuning.sample import of_all
from pipeline_runner.tuning.tune import Tuned, in_rounds

WIDTH = 100  # columns
SHOWN = 3  # methods that are named for one reason
HEADS = ("method", "all calls", "sample", "CPU", "memory", "overhead a call")


def as_text(tuned: Tuned) -> str:
    """The table of one stage, the best first, then what gave nothing, then the best and the reasons."""
    told = [way for way in tuned.ways if way.told]
    lines = [_title(tuned), *_alone(tuned)]
    if told:
        lines += ["", *_columns([HEADS, *(_cells(tuned, way) for way in told)])]
    lapsed = [way for way in tuned.ways if not way.told]
    if lapsed:
        lines += ["", "these gave nothing:"]
        lines += _columns([(_name(tuned, way), way.lapse) for way in lapsed], indent="  ")
    return "\n".join([*lines, "", *_verdict(tuned)])


def _title(tuned: Tuned) -> str:
    spec, items = tuned.stage.spec, of_all(tuned.sample)
    origin = f" ({tuned.origin})" if tuned.origin else ""
    workers = "1 worker" if tuned.workers == 1 else f"{tuned.workers} workers"
    return f"{spec.name}: {spec.function}, {items}{origin}, {in_rounds(tuned.rounds)}, {workers}"


def _alone(tuned: Tuned) -> Iterator[str]:
    failed = tuned.bare.failed
    yield f"alone a call takes {short(tuned.bare.each_s)}"
    if failed:
        calls = (
            "1 call fails by itself and is" if len(failed) == 1 else f"{len(failed)} calls fail by themselves and are"
        )
        yield f"{calls} left out: {next(iter(failed.values()))}"


def _cells(tuned: Tuned, way: Way) -> tuple[str, ...]:
    best = tuned.verdict is not None and way is tuned.verdict.best
    return (
        f"{'*' if best else ' '} {_name(tuned, way)}",
        short(way.seconds),
        short(way.wall_s),
        short(way.cpu_s),
        "" if way.peak_bytes is None else f"{way.peak_bytes / 2**20:,.0f} MiB",
        short(way.overhead_s(tuned.bare)),
    )


def _name(tuned: Tuned, way: Way) -> str:
    written = tuned.stage.spec.chunk
    if way.chunk == written:
        return way.name if written is None else f"{way.name}, chunk {written}"
    return f"{way.name}, chunk {'auto' if way.chunk is None else way.chunk}"


def _columns(rows: Sequence[Sequence[str]], indent: str = "") -> Iterator[str]:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.ljust(width) if at == 0 or len(row) == 2 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield f"{indent}{'  '.join(cells)}".rstrip()


def _verdict(tuned: Tuned) -> Iterator[str]:
    found = tuned.verdict
    if found is None:
        yield "best  none: no method got through that the stage could have"
        return
    yield f"best  {_name(tuned, found.best)}"
    for why in found.why:
        yield from wrap(why, WIDTH, initial_indent="why   ", subsequent_indent="      ", break_long_words=False)
    for why in dict.fromkeys(found.unfit.values()):
        names = [name for name, its in found.unfit.items() if its == why]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        text = f"{', '.join(names[:SHOWN])}{more}: {why}"
        yield from wrap(text, WIDTH, initial_indent="not   ", subsequent_indent="      ", break_long_words=False)


def as_json(tuned: Tuned, written: Mark | None) -> dict[str, object]:
    """The same as plain data. Times are seconds, memory is bytes."""
    found = tuned.verdict
    return {
        "function": str(tuned.stage.spec.function),
        "items": tuned.sample.calls,
        "of": tuned.sample.of,
        "calls": tuned.calls,
        "origin": tuned.origin,
        "rounds": tuned.rounds,
        "workers": tuned.workers,
        "bare": {
            "each": tuned.bare.each_s,
            "cpu": tuned.bare.cpu_s,
            "failed": len(tuned.bare.failed),
        },
        "now": tuned.stage.choice.method.name,
        "methods": [_way_json(tuned, way) for way in tuned.ways],
        "best": None
        if found is None
        else {
            "method": found.best.name,
            "keys": dict(found.keys),
            "why": list(found.why),
            "unfit": dict(found.unfit),
        },
        "written": None if written is None else {"file": written.file, "line": written.line},
    }


def _way_json(tuned: Tuned, way: Way) -> dict[str, object]:
    told = {"method": way.name, "backend": way.choice.backend.keyword, "chunk": way.chunk, "rounds": len(way.trials)}
    if not way.told:
        return {**told, "failed": way.lapse}
    return {
        **told,
        "seconds": way.seconds,
        "sample_seconds": way.wall_s,
        "start": way.start_s,
        "cpu": way.cpu_s,
        "memory": way.peak_bytes,
        "overhead": way.overhead_s(tuned.bare),
    }
