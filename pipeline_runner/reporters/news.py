"""What of a run is told in lines while it goes on: what people may want to know before its end."""

from __future__ import annotations

from collections.abc import Callable

from pipeline_runner.calls import Failure
from pipeline_runner.events import (
    CallFailed,
    CallRetried,
    CallsOutdated,
    Event,
    JournalMended,
    JournalTaken,
    PoolNarrowed,
    PoolReplaced,
    Printed,
    StageRenamed,
    WorkerDied,
    WorkerStruck,
)
from pipeline_runner.reporters.plain import line_of, plain
from pipeline_runner.reporters.screen import Screen
from pipeline_runner.typed import Self


class News:
    """Listens to a run and passes on what matters."""

    def __init__(self, screen: Screen, *, quiet: bool = False, verbose: bool = False) -> None:
        self._screen = screen
        self._quiet = quiet
        self._verbose = verbose
        self._hears: dict[type[Event], Callable[[Event], None] | None] = {}
        self._told: set[tuple[str, Failure]] = set()  # by stage: what is the same for all of its calls

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """There is nothing to put away."""

    def take(self, event: Event) -> None:
        """Show one event."""
        kind = type(event)
        if kind not in self._hears:
            self._hears[kind] = getattr(self, f"_on_{kind.__name__}", None)
        hear = self._hears[kind]
        if hear is not None:
            hear(event)

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
        from pipeline_runner.reporters.summary import WIDEST, about_all

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
        if not self._quiet:
            self._screen.quote(f"{event.stage}{call}: {line_of(event.line)}", "dim")

    def _say(self, line: str, style: str) -> None:
        if not self._quiet:
            self._screen.say(plain(line), style)
