"""What the commands about earlier runs share: which store, which run, and which call."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline_runner.cli.onward import state_here
from pipeline_runner.errors import UsageError

if TYPE_CHECKING:
    from pipeline_runner.record.history import History

Run = Annotated[
    str,
    typer.Argument(metavar="RUN", help="A run: its name, the beginning of it, or `last`.", show_default=False),
]

_CALL = re.compile(r"(?P<stage>.+?)(\[(?P<item>[0-9]{1,18})\])?", re.DOTALL)


def history(state: str | None) -> History:
    """The runs that are kept here. Errors: StoreError where there are none."""
    from pipeline_runner.record.history import History
    from pipeline_runner.record.store import Store

    return History(Store(state_here(state), create=False))


def stage_and_item(text: str) -> tuple[str, int | None]:
    """`count[17]` or `count`, in parts. Errors: UsageError."""
    found = _CALL.fullmatch(text)
    if found is None or text.endswith("]") != (found["item"] is not None):
        raise UsageError(f'"{text}" names no call; write STAGE or STAGE[ITEM], for example count[17]')
    return found["stage"], None if found["item"] is None else int(found["item"])


def table(rows: list[list[str]], right: frozenset[int] = frozenset()) -> str:
    """Rows as columns that stand one under the other; those in `right` end in one line."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    told = [
        "  ".join(
            cell.rjust(width) if at in right else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in told)
