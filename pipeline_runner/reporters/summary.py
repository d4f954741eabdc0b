"""How a run ended, for people: a line a stage, failures grouped, and what to do next."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from pipeline_runner.axes import Status
from pipeline_runner.events import CallFailed
from pipeline_runner.state import RunState

MOST = 5  # failed calls of one kind that are named
_STYLE = {Status.DONE: "green", Status.REUSED: "green", Status.FAILED: "red"}


def summary(state: RunState, console: Console, *, stages: bool) -> None:
    """Say it on `console`. `stages`: also a line a stage, where no bars have told it."""
    if stages:
        for line, style in _stages(state):
            console.print(Text(line, style=style), soft_wrap=True)
    for text, style in _failures(state):
        console.print(Text(text, style=style), soft_wrap=True)
    status = state.status or Status.FAILED
    done = sum(stage.done for stage in state.stages.values())
    failed = f", {len(state.failures)} failed" if state.failures else ""
    retried = sum(stage.retried for stage in state.stages.values())
    again = f", {retried} tried again" if retried else ""
    line = f"{state.pipeline}: {status}, {done} calls{failed}{again}, {state.seconds:.2f} s"
    console.print(Text(line, style=f"bold {_STYLE.get(status, 'yellow')}"), soft_wrap=True)


def _stages(state: RunState) -> Iterator[tuple[str, str]]:
    width = max((len(name) for name in state.stages), default=0)
    for name, stage in state.stages.items():
        status = stage.status or Status.CANCELLED
        failed = f", {stage.failed} failed" if stage.failed else ""
        line = f"{name.ljust(width)}  {status:<9}  {stage.done} calls{failed}  {stage.seconds:.2f} s  {stage.method}"
        yield line, _STYLE.get(status, "yellow")


def _failures(state: RunState) -> Iterator[tuple[str, str]]:
    """Failures of one stage, type and place together: a thousand calls that fail alike are one thing to read."""
    groups: dict[tuple[str, str, str], list[CallFailed]] = defaultdict(list)
    for failed in state.failures:
        groups[failed.stage, failed.failure.type, _place(failed)].append(failed)
    for (stage, kind, place), alike in groups.items():
        first = alike[0]
        many = f" ({len(alike)} calls)" if len(alike) > 1 else ""
        yield f'\nstage "{stage}": {kind}{many}{place}', "bold red"
        for failed in alike[:MOST]:
            call = f"call {failed.index}" if failed.index >= 0 else "before its first call"
            given = f" given {failed.argument}" if failed.argument else ""
            tries = f" after {failed.tries} tries" if failed.tries > 1 else ""
            yield f"  {call}{given}{tries}: {failed.failure.message or kind}", "red"
        if len(alike) > MOST:
            yield f"  and {len(alike) - MOST} more", "red"
        if first.said:
            yield "  its last lines:", "red"
            yield from ((f"    {line}", "dim") for line in first.said)
        if first.failure.traceback:
            yield "  " + first.failure.traceback.rstrip().replace("\n", "\n  "), "dim"


def _place(failed: CallFailed) -> str:
    """Where in the user's code, from the traceback's last frame."""
    lines = [line.strip() for line in failed.failure.traceback.splitlines() if line.strip().startswith('File "')]
    if not lines:
        return ""
    _, _, rest = lines[-1].partition('File "')
    file, _, rest = rest.partition('", line ')
    return f" at {file}:{rest.split(',')[0]}"
