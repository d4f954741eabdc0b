"""`prun methods`: the survey's tables as they are measured, one row in full, or a new measurement."""

from __future__ import annotations

import json
import sys
from itertools import count
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline_runner.backends import Table, table
from pipeline_runner.errors import UsageError, did_you_mean
from pipeline_runner.methods import Method
from pipeline_runner.survey import tables

if TYPE_CHECKING:
    from pipeline_runner.survey.measure import Difference, Measured


class UnknownMethod(UsageError):
    """No method goes by this name."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        super().__init__(name)
        self.name = name
        self.known = known

    def __str__(self) -> str:
        ending = sorted(known for known in self.known if known.endswith(f".{self.name}"))
        advice = [f"  these end in it: {', '.join(ending)}"] if ending else ["  prun methods lists all of them"]
        guess = "" if ending else did_you_mean(self.name, self.known)
        return "\n".join([f'no method is called "{self.name}"{guess}', *advice])


def register(app: typer.Typer) -> None:
    @app.command()
    def methods(
        name: Annotated[str | None, typer.Argument(help="Show this method in full; any of its names will do.")] = None,
        measure: Annotated[bool, typer.Option("--measure", help="Measure again on this machine.")] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
        markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    ) -> None:
        """Show how every pool method dispatches, takes its arguments and returns."""
        if as_json and markdown:
            raise UsageError("--json and --markdown cannot go together")
        known = table()
        rows = [find(known, name)] if name else list(known)
        if measure:
            show_measured(known, rows, as_json, markdown)
        elif as_json:
            typer.echo(json.dumps([tables.as_data(row, known.owners[row.name]) for row in rows], indent=2))
        else:
            show(tables.grids(rows) if not name else [tables.details(rows[0], known.owners[rows[0].name])], markdown)


def find(known: Table, name: str) -> Method:
    row = known.find(name)
    if row is None:
        raise UnknownMethod(name, tuple(known.names))
    return row


def show(grids: tuple[tables.Grid, ...] | list[tables.Grid], markdown: bool) -> None:
    """On a terminal as rich tables; to a pipe as plain columns."""
    if markdown:
        typer.echo("\n\n".join(map(tables.as_markdown, grids)))
    elif sys.stdout.isatty():
        draw(grids)
    else:
        typer.echo("\n\n".join(map(tables.as_text, grids)))


def draw(grids: tuple[tables.Grid, ...] | list[tables.Grid]) -> None:
    from rich.console import Console
    from rich.table import Table as Drawn
    from rich.text import Text

    console = Console()
    for grid in grids:
        drawn = Drawn(title=grid.title, title_justify="left", show_header=any(grid.heads))
        for number, head in enumerate(grid.heads):
            drawn.add_column(head, style="bold" if number == 0 else "", overflow="fold")
        for cells in grid.lines:
            drawn.add_row(*(Text(cell) for cell in cells))
        console.print(drawn)
        console.print()


def show_measured(known: Table, rows: list[Method], as_json: bool, markdown: bool) -> None:
    """Measure, telling the progress on stderr; then what was found, then where it differs from the table."""
    from dataclasses import asdict

    from pipeline_runner.survey.measure import differences, measure, versions

    done = count(1)
    pairs = [(row, known.owners[row.name]) for row in rows]
    found = list(measure(pairs, lambda name: typer.echo(f"[{next(done)}/{len(rows)}] {name}", err=True)))
    differ = [gap for row, one in zip(rows, found, strict=True) for gap in differences(row, one)]
    if as_json:
        measured = [{**asdict(one), "dispatch": one.dispatch} for one in found]
        typer.echo(
            json.dumps(
                {"versions": versions(), "measured": measured, "differences": list(map(asdict, differ))}, indent=2
            )
        )
        return
    show([measured_grid(found, " ".join(f"{name} {number}" for name, number in versions().items()))], markdown)
    typer.echo("\n" + conclusion(differ))


def conclusion(differ: list[Difference]) -> str:
    if not differ:
        return "nothing differs from the table"
    return "\n".join([f"{len(differ)} facts differ from the table:", *(f"  {gap}" for gap in differ)])


def measured_grid(found: list[Measured], title: str) -> tables.Grid:
    def word(fact: bool | None) -> str:
        return "?" if fact is None else tables.yes(fact)

    return tables.Grid(
        f"Measured here: {title}",
        ("method", "dispatch", "blocks", "overlaps", "refills", "lazy", "ordered", "a raise", "a death"),
        tuple(
            (
                one.method,
                one.dispatch or "?",
                word(one.blocks),
                word(one.overlaps),
                word(one.refills),
                word(one.lazy),
                word(one.ordered),
                one.on_raise or "?",
                one.on_death or "?",
            )
            for one in found
        ),
    )
