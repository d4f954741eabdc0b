"""`prun clean`: drop old runs, and the values that nobody needs any more."""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline_runner.cli import kept, options
from pipeline_runner.errors import UsageError
from pipeline_runner.reporters.times import when

if TYPE_CHECKING:
    from pipeline_runner.record.clean import Cleaned
    from pipeline_runner.record.history import Told


def register(app: typer.Typer) -> None:
    app.command(name="clean")(clean)


def clean(
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN]...", help="Drop these.", show_default=False)
    ] = None,
    keep: Annotated[
        int | None,
        typer.Option(
            "--keep", metavar="N", min=0, help="Drop all but the newest N of each pipeline.", show_default=False
        ),
    ] = None,
    older: Annotated[
        str | None,
        typer.Option("--older", metavar="TIME", help="Drop those older than this, for example 7d.", show_default=False),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            "--size",
            metavar="SIZE",
            help="Drop the oldest beyond this size, for example 2GB.",
            show_default=False,
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Drop all of them.")] = False,
    dry_run: Annotated[
        bool, typer.Option("-n", "--dry-run", help="Say what would be dropped and drop nothing.")
    ] = False,
    state: options.State = None,
) -> None:
    """Drop runs, and the values that nobody needs any more. A run that is at work stays, whatever is asked.

    With --keep, --older and --size together, only what all would drop. With nothing said, no run is dropped: only
    what belongs to none. What a cached stage has reused belongs to each run that did.
    """
    from pipeline_runner.record.clean import beyond, chosen
    from pipeline_runner.record.clean import clean as do

    history = kept.history(state)
    named = [history.find(run) for run in runs or ()]
    found = history.runs()
    too_old = None if size is None else beyond(history, found, _size(size))
    dropped = chosen(found, named=named, keep=0 if everything else keep, older_than=_before(older), beyond=too_old)
    if dry_run:
        typer.echo(_would(dropped, len(found)))
    else:
        typer.echo(_did(do(history, dropped)))


def _before(older: str | None) -> float | None:
    """The moment so long ago. Errors: UsageError."""
    from pipeline_runner.spec.durations import seconds

    if older is None:
        return None
    span = seconds(older)
    if span is None:
        raise UsageError(f"--older {older}: that is no span of time; write 7d, 12h or 1h30m")
    return time() - span


def _size(text: str) -> int:
    """So many bytes. Errors: UsageError."""
    from pipeline_runner.spec.sizes import size as read

    found = read(text)
    if found is None:
        raise UsageError(f"--size {text}: that is no size; write 500MB or 2GiB")
    return found


def _would(dropped: list[Told], runs: int) -> str:
    idle = [told for told in dropped if told.status is not None]
    lines = [f"would drop {told.run}  {told.pipeline}  {when(told.began)}" for told in idle]
    lines += [f"would leave {told.run}, which is at work" for told in dropped if told.status is None]
    return "\n".join([*lines, f"would drop {_runs(len(idle))} of {runs}"])


def _did(cleaned: Cleaned) -> str:
    lines = [f"dropped {run}" for run in cleaned.dropped]
    lines += [f"left {run}, which is at work" for run in cleaned.at_work]
    lines.append(f"dropped {_runs(len(cleaned.dropped))}, kept {cleaned.kept}; freed {in_words(cleaned.freed_bytes)}")
    if not cleaned.swept:
        lines.append("a run is at work: what else can be freed is freed by the next clean after it")
    return "\n".join(lines)


def _runs(number: int) -> str:
    return f"{number} run" if number == 1 else f"{number} runs"


def in_words(size_bytes: int) -> str:
    """A number of bytes as people say it."""
    if size_bytes < 1000:
        return f"{size_bytes} bytes"
    power, unit = next((p, u) for p, u in ((3, "kB"), (6, "MB"), (9, "GB")) if size_bytes < 10 ** (p + 3) or p == 9)
    return f"{size_bytes / 10**power:.1f} {unit}"
