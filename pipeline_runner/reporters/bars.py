"""A progress bar a stage on stderr, while a run goes on."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from pipeline_runner.axes import Status
from pipeline_runner.calls import Failure
from pipeline_runner.events import (
    CallFailed,
    CallRetried,
    CallsDone,
    CallsKnown,
    CallsOutdated,
    CallsReused,
    Event,
    JournalMended,
    JournalTaken,
    PoolNarrowed,
    PoolReplaced,
    Printed,
    RunStarted,
    StageEnded,
    StageRenamed,
    StageStarted,
    WorkerDied,
    WorkerStruck,
)
from pipeline_runner.reporters.plain import line_of, plain
from pipeline_runner.reporters.summary import WIDEST, about_all

_COLOURS = {Status.DONE: "green", Status.FAILED: "red", Status.CANCELLED: "yellow", Status.SKIPPED: "yellow"}


class Bars:
    """Listens to a run and draws it. On anything but a terminal it draws nothing and only passes on what matters."""

    def __init__(self, console: Console, *, quiet: bool = False, verbose: bool = False) -> None:
        self._console = console
        self._quiet = quiet
        self._verbose = verbose
        self._progress = Progress(
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.fields[stage]}", style="bold"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            _State(),
            TimeElapsedColumn(),
            console=console,
            disable=quiet or not console.is_terminal,
            transient=False,
        )
        self._tasks: dict[str, TaskID] = {}
        self._told: set[tuple[str, Failure]] = set()  # by stage: what is the same for all of its calls

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def take(self, event: Event) -> None:
        """Show one event."""
        hear: Callable[[Event], None] | None = getattr(self, f"_on_{type(event).__name__}", None)
        if hear is not None:
            hear(event)

    def _on_RunStarted(self, event: RunStarted) -> None:
        width = max((len(name) for name in event.stages), default=0)
        for name in event.stages:
            self._add(name.ljust(width), name)

    def _add(self, shown: str, name: str) -> TaskID:
        self._tasks[name] = self._progress.add_task("", total=None, start=False, stage=shown, state="")
        return self._tasks[name]

    def _on_StageStarted(self, event: StageStarted) -> None:
        if event.stage not in self._tasks:  # a hook
            self._add(event.stage, event.stage)
        task = self._task(event.stage)
        self._progress.start_task(task)
        with_whom = f" with {event.fused_into}" if event.fused_into else ""
        self._progress.update(task, total=event.calls, state=f"{event.method}{with_whom}")

    def _on_CallsKnown(self, event: CallsKnown) -> None:
        self._progress.update(self._task(event.stage), total=event.calls)

    def _on_CallsDone(self, event: CallsDone) -> None:
        self._progress.advance(self._task(event.stage), len(event.indices))

    def _on_CallsReused(self, event: CallsReused) -> None:
        self._progress.advance(self._task(event.stage), len(event.indices))

    def _on_CallsOutdated(self, event: CallsOutdated) -> None:
        self._say(str(event), "yellow")

    def _on_StageRenamed(self, event: StageRenamed) -> None:
        self._say(str(event), "yellow")

    def _on_JournalMended(self, event: JournalMended) -> None:
        self._say(str(event), "yellow")

    def _on_JournalTaken(self, event: JournalTaken) -> None:
        self._say(str(event), "yellow")

    def _on_CallRetried(self, event: CallRetried) -> None:
        wait = f" in {event.wait_s:.1f} s" if event.wait_s else ""
        self._say(
            f'stage "{event.stage}", call {event.index}: {event.failure}. '
            f"Try {event.tries + 1} of {event.limit}{wait}.",
            "yellow",
        )

    def _on_CallFailed(self, event: CallFailed) -> None:
        if about_all(event.failure):
            told = event.stage, event.failure
            if told in self._told:
                return
            self._told.add(told)
        call = f", call {event.index}" if event.index >= 0 else ""
        given = f" ({event.argument})" if event.argument else ""
        first, _, more = str(event.failure).partition("\n")  # the summary tells all of it
        self._say(
            f'stage "{event.stage}"{call}{given}: {first[:WIDEST]}{" …" if more or first[WIDEST:] else ""}', "red"
        )

    def _on_WorkerDied(self, event: WorkerDied) -> None:
        if len(event.calls) > 1:
            self._say(
                f'stage "{event.stage}", calls {event.calls[0]} to {event.calls[-1]}: worker {event.pid} died; '
                "running them again in smaller chunks to find which",
                "yellow",
            )

    def _on_WorkerStruck(self, event: WorkerStruck) -> None:
        self._say(f'stage "{event.stage}": chaos killed worker {event.pid}', "yellow")

    def _on_PoolNarrowed(self, event: PoolNarrowed) -> None:
        self._say(f"warning: {event}", "yellow")

    def _on_PoolReplaced(self, event: PoolReplaced) -> None:
        if self._verbose:
            self._say(f'stage "{event.stage}": {event.why}; going on in a fresh pool', "yellow")

    def _on_Printed(self, event: Printed) -> None:
        call = "" if event.index is None else f"[{event.index}]"
        self._show(Text.from_ansi(f"{event.stage}{call}: {line_of(event.line)}", style="dim"))

    def _on_StageEnded(self, event: StageEnded) -> None:
        task = self._tasks.get(event.stage)
        if task is None:
            return  # a hook that had nothing to do
        state = f"{event.status}: {event.why}" if event.why else str(event.status)
        self._progress.update(task, state=state, colour=_COLOURS.get(event.status, "dim"))
        self._progress.stop_task(task)

    def _task(self, stage: str) -> TaskID:
        return self._tasks[stage]

    def _say(self, line: str, style: str) -> None:
        self._show(Text(plain(line), style=style))

    def _show(self, text: Text) -> None:
        if not self._quiet:
            self._console.print(text, soft_wrap=True)


class _State(ProgressColumn):
    """The method while a stage runs, how it ended afterwards."""

    def render(self, task: Task) -> Text:
        return Text(str(task.fields.get("state", "")), style=str(task.fields.get("colour", "dim")))
