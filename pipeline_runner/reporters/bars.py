"""A progress bar a stage on stderr, while a run goes on."""

from __future__ import annotations

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
from pipeline_runner.events import CallsDone, CallsKnown, CallsReused, RunStarted, StageEnded, StageStarted
from pipeline_runner.reporters.news import News
from pipeline_runner.reporters.screen import Colours
from pipeline_runner.typed import Self

_COLOURS = {Status.DONE: "green", Status.FAILED: "red", Status.CANCELLED: "yellow", Status.SKIPPED: "yellow"}


class Bars(News):
    """Listens to a run and draws it on a terminal; what is told in lines goes above the bars."""

    def __init__(self, screen: Colours, *, quiet: bool = False, verbose: bool = False) -> None:
        super().__init__(screen, quiet=quiet, verbose=verbose)
        self._progress = Progress(
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.fields[stage]}", style="bold"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            _State(),
            TimeElapsedColumn(),
            console=screen.console,
            disable=quiet or not screen.terminal,
            transient=False,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

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

    def _on_StageEnded(self, event: StageEnded) -> None:
        task = self._tasks.get(event.stage)
        if task is None:
            return  # a hook that had nothing to do
        state = f"{event.status}: {event.why}" if event.why else str(event.status)
        self._progress.update(task, state=state, colour=_COLOURS.get(event.status, "dim"))
        self._progress.stop_task(task)

    def _task(self, stage: str) -> TaskID:
        return self._tasks[stage]


class _State(ProgressColumn):
    """The method while a stage runs, how it ended afterwards."""

    def render(self, task: Task) -> Text:
        return Text(str(task.fields.get("state", "")), style=str(task.fields.get("colour", "dim")))
