"""The three tables that the survey's author wished for, made from the rows: as data, text, Markdown and JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from textwrap import wrap

from pipeline_runner.axes import Style
from pipeline_runner.classes import dataclass
from pipeline_runner.methods import Backend, Method

SHAPES = {
    Style.SINGLE: "one task, many arguments",
    Style.MAP: "many tasks: f(item)",
    Style.STAR: "many tasks: f(*row)",
    Style.ZIP: "many tasks: f(a[i], b[i])",
}


@dataclass(frozen=True)
class Grid:
    """One table: a title, the heads of its columns, and lines of as many cells."""

    title: str
    heads: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]


def grids(methods: Iterable[Method]) -> tuple[Grid, Grid, Grid]:
    """Dispatch, arguments, returns: each with the article's word where measurement says another."""
    rows = tuple(methods)
    return (
        Grid(
            "1. Dispatch: when is the next call handed in?",
            ("method", "dispatch", "overlaps", "refills", "lazy input", "the article says"),
            tuple(
                (
                    row.name,
                    row.dispatch.value,
                    yes(row.parallel),
                    yes(row.refills),
                    yes(row.lazy),
                    other(row, "dispatch"),
                )
                for row in rows
            ),
        ),
        Grid(
            "2. Arguments: how is the pool asked?",
            ("method", "args", "shape", "also carries", "serializer", "the article says"),
            tuple(
                (
                    row.name,
                    row.style.value,
                    SHAPES[row.style],
                    words(row.also_styles - {row.style}),
                    row.serializer,
                    other(row, "style"),
                )
                for row in rows
            ),
        ),
        Grid(
            "3. Returns: what comes back?",
            ("method", "returns", "in call order", "a raise, without us", "a death, without us", "the article says"),
            tuple(
                (
                    row.name,
                    row.returns.value,
                    yes(row.ordered),
                    row.on_raise,
                    row.on_death,
                    other(row, "returns"),
                )
                for row in rows
            ),
        ),
    )


def details(row: Method, backend: Backend) -> Grid:
    """Everything that is known of one row."""
    surveyed = row.surveyed
    said = f"{surveyed.dispatch}, {surveyed.style}, {surveyed.returns}" if surveyed else "not in the article"
    missing = backend.unavailable()
    lines = (
        ("backend", backend.keyword),
        *((("here", missing),) if missing else ()),
        ("dispatch", row.dispatch.value),
        ("args", words({row.style}) + "".join(f", {style}" for style in sorted(row.also_styles - {row.style}))),
        ("shape", SHAPES[row.style]),
        ("returns", row.returns.value),
        ("may return", words(row.offers)),
        ("overlaps", yes(row.parallel)),
        ("refills", yes(row.refills)),
        ("lazy input", yes(row.lazy)),
        ("in call order", yes(row.ordered)),
        ("serializer", row.serializer),
        ("start methods", words(backend.start_methods) or "its own way"),
        ("a raise, without us", row.on_raise),
        ("a death, without us", row.on_death),
        ("the article says", said),
        ("also called", ", ".join(row.aliases) or "-"),
        ("note", row.note or "-"),
    )
    return Grid(row.name, ("", ""), lines)


def as_data(row: Method, backend: Backend) -> dict[str, object]:
    """The row as plain data, for JSON."""
    surveyed = row.surveyed
    return {
        "name": row.name,
        "backend": backend.keyword,
        "unavailable": backend.unavailable(),
        "dispatch": row.dispatch.value,
        "args": row.style.value,
        "also_args": sorted(row.also_styles - {row.style}),
        "returns": row.returns.value,
        "offers": sorted(row.offers),
        "lazy": row.lazy,
        "ordered": row.ordered,
        "parallel": row.parallel,
        "refills": row.refills,
        "serializer": row.serializer,
        "start_methods": sorted(backend.start_methods),
        "on_raise": row.on_raise,
        "on_death": row.on_death,
        "surveyed": surveyed
        and {"dispatch": surveyed.dispatch.value, "args": surveyed.style.value, "returns": surveyed.returns.value},
        "aliases": list(row.aliases),
        "note": row.note,
    }


def as_text(grid: Grid, width: int = 150) -> str:
    """The table in plain columns; a cell that is too wide goes on in the next line."""
    columns = list(zip(grid.heads, *grid.lines, strict=True))
    widths = [max(map(len, column)) for column in columns]
    while sum(widths) + 2 * len(widths) > width and max(widths) > 24:
        widths[widths.index(max(widths))] -= 1
    heads = [] if not any(grid.heads) else [line(grid.heads, widths), line(["-" * size for size in widths], widths)]
    return "\n".join([grid.title, "", *heads, *(line(cells, widths) for cells in grid.lines)])


def line(cells: Sequence[str], widths: Sequence[int]) -> str:
    pieces = [wrap(cell, size, break_on_hyphens=False) or [""] for cell, size in zip(cells, widths, strict=True)]
    height = max(map(len, pieces))
    return "\n".join(
        "  ".join(
            (piece[at] if at < len(piece) else "").ljust(size) for piece, size in zip(pieces, widths, strict=True)
        ).rstrip()
        for at in range(height)
    )


def as_markdown(grid: Grid) -> str:
    heads = grid.heads if any(grid.heads) else ("fact", "value")
    lines = [heads, ("---",) * len(heads), *grid.lines]
    body = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |" for cells in lines)
    return f"## {grid.title}\n\n{body}"


def yes(fact: bool) -> str:
    return "yes" if fact else "no"


def words(of: Iterable[str]) -> str:
    return ", ".join(sorted(of)) or ""


def other(row: Method, axis: str) -> str:
    """The article's word on an axis, where it has another."""
    if row.surveyed is None:
        return "(not in it)"
    said: str = getattr(row.surveyed, axis)
    return "" if said == getattr(row, axis) else str(said)
