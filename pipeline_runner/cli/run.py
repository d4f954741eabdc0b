"""`prun FILE`: run a pipeline, with progress on stderr and results on stdout."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline_runner.cli import kept, options
from pipeline_runner.cli.leaving import ENDING
from pipeline_runner.cli.resume import resumed
from pipeline_runner.cli.terminal import Terminal
from pipeline_runner.errors import UsageError
from pipeline_runner.record.owner import refuse_second
from pipeline_runner.worker import limits

if TYPE_CHECKING:
    from pipeline_runner.engine.engine import Engine
    from pipeline_runner.pipeline import Pipeline
    from pipeline_runner.reporters.summary import Next
    from pipeline_runner.running import Result

Shown = Annotated[
    list[str] | None,
    typer.Option("--show", metavar="STAGE", help="Also show this stage's values; `all` for every stage's."),
]


def register(app: typer.Typer) -> None:
    app.command("run", help="Run a pipeline. `prun FILE` is the same.")(command)


def command(
    file: options.AnyFile = None,
    stages: options.Stages = None,
    given: options.Given = None,
    params: options.Params = None,
    profile: options.Profile = None,
    workers: options.Workers = None,
    keep_going: Annotated[
        bool, typer.Option("-k", "--keep-going", help="After a failure, let everything independent end.")
    ] = False,
    until: options.Until = None,
    since: options.Since = None,
    only: options.Only = None,
    sample: options.Sample = None,
    force: options.Force = False,
    no_cache: options.NoCache = False,
    dry_run: Annotated[
        bool, typer.Option("-n", "--dry-run", help="Say what would be run and why, as `prun plan`, and run nothing.")
    ] = False,
    resume: options.Resume = None,
    state: options.State = None,
    chaos: Annotated[
        str | None,
        typer.Option("--chaos", metavar="kill=P", help="Kill workers at random, to see that nothing is lost."),
    ] = None,
    show: Shown = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress, only results and errors.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Say more about what happens.")] = False,
) -> None:
    if file is not None and not dry_run:
        refuse_second(*_place(file, state))

    from rich.console import Console

    from pipeline_runner.pipeline import Pipeline
    from pipeline_runner.plan.check import cautions
    from pipeline_runner.plan.preflight.look import refuse
    from pipeline_runner.plan.select import Part
    from pipeline_runner.record.seal import key_not_kept
    from pipeline_runner.reporters.bars import Bars
    from pipeline_runner.reporters.summary import summary
    from pipeline_runner.reporters.values import shown
    from pipeline_runner.spec.secrets import mask_of

    asked = Part(stages or (), until or (), since or (), only or (), sample)
    parts: Sequence[Part] = [asked]
    if resume is None:
        if file is None:
            raise UsageError("prun needs a pipeline: prun FILE")
        spec = options.load(file, given, params, profile)
    else:
        spec, resume, before = resumed(file, given, params, profile, state, resume)
        if asked == Part():  # what is owed is what was asked for
            parts = [Part(**part) for part in before]
    pipeline = Pipeline.of(options.keep_going(spec) if keep_going else spec)
    for part in parts:
        pipeline = pipeline.part(**asdict(part))
    terminal = Terminal()
    console = Console(stderr=True)
    unkept = [] if dry_run else filter(None, [key_not_kept()])

    def warn(warning: str) -> None:
        if not quiet:
            console.print(f"warning: {warning}", style="yellow", soft_wrap=True, markup=False, highlight=False)

    for warning in (*spec.warnings, *cautions(pipeline.plan(workers=workers)), *unkept):
        warn(warning)
    if dry_run:
        for warning in refuse(pipeline.plan(workers=workers)):
            warn(warning)
        made = pipeline.forecast(workers=workers, state=state, resume=resume or "", force=force, cache=not no_cache)
        told = json.dumps(made.to_json(), ensure_ascii=False) if as_json else made.explain().rstrip("\n")
        typer.echo(mask_of(spec).text(told))
        return
    everything = "all" in (show or ())
    with stdout_for_results(), Bars(console, quiet=quiet, verbose=verbose) as bars, Ending(terminal) as ending:
        result = pipeline.run(
            workers=workers,
            keep="all" if everything else show or (),
            on_event=bars.take,
            on_engine=ending.of,
            state=state,
            resume=resume or False,
            force=force,
            cache=not no_cache,
            chaos=chaos,
            on_warning=warn,
        )
    terminal.leave_if_gone()
    wanted = _wanted(result, show or (), everything)
    if as_json:
        typer.echo(_json(result.to_json(wanted)))
    else:
        for name, stage in result.state.stages.items():
            if name in result.state.hooks:
                continue  # what a hook gives is nobody's result
            if wanted(name) and stage.status in ("done", "reused"):
                typer.echo(_printable(result.hidden(shown(name, result[name]))))
    if not quiet or result.exit_code:
        summary(
            result.state,
            console,
            stages=not console.is_terminal and not quiet,
            following=_following(pipeline, result, state),
        )
    raise typer.Exit(result.exit_code)


def _place(file: str, state: str | None) -> tuple[Path, str]:
    """The state folder and the identity that the pipeline of a file will have, as far as that is known unread."""
    path = Path(os.path.realpath(file)).parent / Path(file).name  # resolve() raises at a link to itself
    return Path(state or os.environ.get("PRUN_STATE") or path.parent / ".prun").absolute(), str(path)


def _following(pipeline: Pipeline, result: Result, state: str | None) -> Next | None:
    """What to type next; None where the run was not kept."""
    from pipeline_runner.pipeline import state_folder

    folder = state_folder(pipeline.spec, state)
    about = {"file": pipeline.spec.file, "folder": str(pipeline.spec.folder)}
    return None if folder is None else kept.following(result.id, about, folder)


def _wanted(result: Result, show: Sequence[str], everything: bool) -> Callable[[str], bool]:
    def wanted(name: str) -> bool:
        asked = any(f"{name}.".startswith(f"{word}.") for word in show)
        return everything or asked or not result.read(name)

    return wanted


@contextmanager
def stdout_for_results() -> Iterator[None]:
    """Whatever calls in this very process write to stdout goes to stderr, that of compiled code and of children too."""
    sys.stdout.flush()
    ours = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(ours, 1)
        os.close(ours)


def _json(told: object) -> str:
    """As people read it where stdout can say it, else with escapes: a file's name need not be text."""
    text = json.dumps(told, ensure_ascii=False, allow_nan=False)
    return text if _printable(text) == text else json.dumps(told, allow_nan=False)


def _printable(text: str) -> str:
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


class Ending:
    """Ctrl-C, SIGTERM and SIGHUP end the run in order; the second one ends it at once."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._engine: Engine | None = None
        self._told = False

    def of(self, engine: Engine) -> None:
        """The engine that is to be told."""
        self._engine = engine

    def __enter__(self) -> Ending:
        # A shell starts `nohup … &` with SIGINT ignored, and nohup ignores SIGHUP: that is respected.
        meant = [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._hear) for number in meant}
        # Whatever calls leave behind ends with the run, in whatever group or session it hides.
        limits.take_in_orphans()
        self._others = set(limits.below(os.getpid()))  # a shell's own, if it was replaced by this command
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._end_all(limits.fork_servers())

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self._engine is None:
            raise SystemExit(128 + number)
        if self._told and number == signal.SIGHUP:  # its terminal closes while the run ends: there is no haste
            self._terminal.leave_if_gone()
            return
        if self._told:
            self._end_all(limits.fork_servers())  # which then take their addresses away
            os._exit(128 + number)
        self._told = True
        self._terminal.leave_if_gone()
        self._engine.cancel(number)

    def _end_all(self, spare: Iterable[int] = ()) -> None:
        """End every process that this run has brought about. Takes no lock, since a handler may have interrupted
        whoever holds it; a tracker of semaphores goes by itself, when it has tidied up."""
        limits.kill_below(os.getpid(), {*self._others, *limits.trackers(), *spare})
