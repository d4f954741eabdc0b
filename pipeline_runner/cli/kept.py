"""What the commands about earlier runs share: which store, which run, which call, and what to type next."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline_runner.errors import UsageError

if TYPE_CHECKING:
    from pipeline_runner.record.history import History
    from pipeline_runner.reporters.summary import Next

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


def state_here(state: str | None) -> Path:
    """The state folder of commands that name no pipeline: what was said, $PRUN_STATE, or `.prun` here."""
    return Path(os.path.abspath(state or os.environ.get("PRUN_STATE") or ".prun"))


def stage_and_item(text: str) -> tuple[str, int | None]:
    """`count[17]` or `count`, in parts. Errors: UsageError."""
    found = _CALL.fullmatch(text)
    if found is None or text.endswith("]") != (found["item"] is not None):
        raise UsageError(f'"{text}" names no call; write STAGE or STAGE[ITEM], for example count[17]')
    return found["stage"], None if found["item"] is None else int(found["item"])


def following(run: str, about: Mapping[str, Any], folder: Path) -> Next:
    """What to type next about a run whose state is in `folder`, from where one is now."""
    from pipeline_runner.reporters.summary import Next

    folder = Path(os.path.abspath(folder))
    state = ("--state", _short(folder))
    if not about.get("file"):
        return Next(run, f'pipeline.run(resume="{run}", state="{state[-1]}")', state, python=True)
    if folder == state_here(None):
        return Next(run, f"prun --resume {run}")
    file = file_of(about)
    beside = folder == file.parent / ".prun" and not os.environ.get("PRUN_STATE")
    resume = ["prun", _short(file), "--resume", run, *(() if beside else state)]
    return Next(run, shlex.join(resume), state)


def file_of(about: Mapping[str, Any]) -> Path:
    """The pipeline's file, wherever one is now."""
    return Path(about["folder"]) / Path(about["file"]).name


def _short(path: Path) -> str:
    """As it is found from here, where that is shorter."""
    relative = os.path.relpath(path)
    return relative if len(relative) < len(str(path)) else str(path)


def when(at: float) -> str:
    """A moment as people write it, in their own time."""
    from datetime import datetime

    return f"{datetime.fromtimestamp(at):%Y-%m-%d %H:%M:%S}"


def took(seconds: float) -> str:
    """A span, with as much of it as matters."""
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


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
