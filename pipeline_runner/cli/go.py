"""What `prun FILE` does: runs a pipeline, with progress on stderr and results on stdout.

Whatever a run does not always need is imported where it is used: half of a small run's time was imports.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from types import FrameType

from pipeline_runner.classes import dataclass, names, replace
from pipeline_runner.cli.leaving import ENDING
from pipeline_runner.cli.terminal import Terminal
from pipeline_runner.engine.warm import warm
from pipeline_runner.errors import UsageError
from pipeline_runner.record.owner import refuse_second
from pipeline_runner.record.plans import Kept, Place, find, keep, place
from pipeline_runner.reporters.screen import Colours, Screen, screen
from pipeline_runner.servers import launch_no_more, tidy_up
from pipeline_runner.typed import TYPE_CHECKING
from pipeline_runner.witness import Witness, witnessed
from pipeline_runner.worker import limits

if TYPE_CHECKING:
    from pipeline_runner.engine.engine import Engine
    from pipeline_runner.pipeline import Pipeline
    from pipeline_runner.plan.plan import Plan
    from pipeline_runner.plan.select import Part
    from pipeline_runner.record.recipe import Recipe
    from pipeline_runner.reporters.news import News
    from pipeline_runner.reporters.summary import Next
    from pipeline_runner.running import Result
    from pipeline_runner.spec.pipeline import StageName

Warn = Callable[[str], None]
SELDOM = 20_000  # objects made between two looks for garbage: of what a run makes most stays as long as it


@dataclass(frozen=True)
class Asked:
    """What a command line asks for: the options of `prun run`, by the names that typer has for them."""

    file: str | None = None
    stages: Sequence[str] | None = None
    given: Sequence[str] | None = None
    params: str | None = None
    profile: str | None = None
    workers: int | None = None
    keep_going: bool = False
    until: Sequence[str] | None = None
    since: Sequence[str] | None = None
    only: Sequence[str] | None = None
    sample: int | None = None
    force: bool = False
    no_cache: bool = False
    dry_run: bool = False
    resume: str | None = None
    state: str | None = None
    chaos: str | None = None
    show: Sequence[str] | None = None
    report: str | None = None
    as_json: bool = False
    quiet: bool = False
    verbose: bool = False


def go(asked: Asked) -> int:
    """Run it, and give the exit code. Errors: PipelineError, KeyboardInterrupt."""
    if asked.file is not None and not asked.dry_run:
        refuse_second(*_place(asked.file, asked.state))
    if asked.file is None and asked.resume is None:
        raise UsageError("prun needs a pipeline: prun FILE")
    if asked.dry_run and asked.report is not None:
        raise UsageError("a dry run leaves nothing to report; `prun graph FILE --format html` draws what would run")
    terminal, told = Terminal(), screen()
    gc.set_threshold(SELDOM)

    def warn(warning: str) -> None:
        if not asked.quiet:
            told.say(f"warning: {warning}", "yellow")

    if asked.dry_run:
        with _with_their_words(asked):
            _foretell(asked, warn)
        return 0
    everything = "all" in (asked.show or ())
    with (
        _with_their_words(asked),
        _report(asked, told) as tell,
        stdout_for_results(),
        _news(told, asked) as news,
        Ending(terminal) as ending,
    ):

        def begin(engine: Engine) -> None:
            ending.of(engine)
            tell(engine)

        made = planned(asked, warn)
        gc.freeze()  # what is planned stays: with 10,000 stages, a third of a run was looking through it for garbage
        gc.enable()
        if made.resume is None:  # of one that is resumed there may be nothing left to do
            warm(made.plan)
        result = made.pipeline.carry_out(
            made.plan,
            keep="all" if everything else asked.show or (),
            on_event=news.take,
            on_engine=begin,
            state=asked.state,
            resume=made.resume or False,
            force=asked.force,
            cache=not asked.no_cache,
            chaos=asked.chaos,
            recipes=made.recipes,
        )
    made.keep()
    terminal.leave_if_gone()
    _give(result, asked, everything)
    if not asked.quiet or result.exit_code:
        from pipeline_runner.reporters.summary import summary

        stages = not told.terminal and not asked.quiet
        summary(result.state, told, stages=stages, following=_following(made.pipeline, result, asked.state))
    return result.exit_code


@dataclass(frozen=True)
class Planned:
    """A plan that may run."""

    plan: Plan
    parts: Sequence[Part] = ()  # what was asked for, if it is not all
    resume: str | None = None  # the run that is gone on with
    warnings: tuple[str, ...] = ()
    recipes: Mapping[StageName, Recipe] | None = None
    place: Place | None = None  # where it is to be kept
    seen: Witness | None = None  # what it was made from

    @property
    def pipeline(self) -> Pipeline:
        from pipeline_runner.pipeline import Pipeline

        return Pipeline.of(self.plan.pipeline, self.parts)

    @property
    def anew(self) -> bool:
        """Whether it had to be made."""
        return self.seen is not None or self.place is None

    def keep(self) -> None:
        """Let the next run of the same words have it."""
        if self.place is not None and self.seen is not None:
            keep(self.place, Kept(self.plan, self.warnings, self.recipes), self.seen)


def planned(asked: Asked, warn: Warn) -> Planned:
    """The plan: that of the last time where nothing has changed since. Errors: Problems, UsageError."""
    words = _words(asked)
    if words is None:
        return _made(asked, warn)
    there = place(_place(asked.file or "", asked.state)[0], words)
    kept = find(there)
    if kept is None:
        with witnessed() as seen:
            made = _made(asked, warn)
            return replace(made, recipes=_lasting_recipes(made.plan), place=there, seen=seen)
    for warning in kept.warnings:
        warn(warning)
    return Planned(kept.plan, _parts(asked), recipes=kept.recipes, place=there)


def _lasting_recipes(plan: Plan) -> Mapping[StageName, Recipe] | None:
    """The recipes of a plan; None where they are others in each run."""
    from pipeline_runner.record.inputs import templates
    from pipeline_runner.record.keys import recipes

    changing = any(read.root == "run" for stage in plan.stages.values() for read in templates(stage.spec))
    return None if changing else recipes(plan)


def _made(asked: Asked, warn: Warn) -> Planned:
    from pipeline_runner.plan.check import cautions
    from pipeline_runner.record.seal import key_not_kept

    told: list[str] = []

    def tell(warning: str) -> None:
        told.append(warning)
        warn(warning)

    pipeline, parts, resume = _loaded(asked)
    plan = pipeline.plan(workers=asked.workers, state=asked.state)
    for warning in (*pipeline.spec.warnings, *cautions(plan)):
        tell(warning)
    for warning in filter(None, [key_not_kept()]):
        warn(warning)
    pipeline.refuse(plan, tell)
    return Planned(plan.without_places(), parts, resume, tuple(told))


_PLANNED_BY = ("file", "stages", "given", "params", "profile", "workers", "keep_going", "until", "sample")


def _words(asked: Asked) -> dict[str, object] | None:
    """What of the command line a plan depends on; None: on more than that, namely on what was run before."""
    if asked.file is None or asked.resume is not None or asked.since or asked.only:
        return None
    return {name: getattr(asked, name) or None for name in _PLANNED_BY}


def _loaded(asked: Asked) -> tuple[Pipeline, Sequence[Part], str | None]:
    """What is meant of the pipeline, how that was said, and the run that is resumed. Errors: Problems, UsageError."""
    from pipeline_runner.cli.load import keep_going, load
    from pipeline_runner.pipeline import Pipeline
    from pipeline_runner.plan.select import Part

    resume, parts = asked.resume, _parts(asked)
    if resume is not None:
        from pipeline_runner.cli.resume import resumed

        spec, resume, before = resumed(asked.file, asked.given, asked.params, asked.profile, asked.state, resume)
        parts = parts or [Part(**part) for part in before]  # what is owed is what was asked for
    else:
        spec = load(asked.file or "", asked.given, asked.params, asked.profile)
    pipeline = Pipeline.of(keep_going(spec) if asked.keep_going else spec)
    try:
        for part in parts:
            pipeline = pipeline.part(**{name: getattr(part, name) for name in names(Part)})
    except UsageError as error:
        if _parts(asked):
            if asked.resume is not None:
                from pipeline_runner.cli.resume import refuse_run

                refuse_run(pipeline.spec, asked.stages or (), _place(asked.file or "", asked.state)[0])
            raise
        why = f"run {resume} was asked for a part of the pipeline that is not there any more: {error}"
        cure = f"name what is to run now: prun {asked.file or 'FILE'} STAGE --resume {resume}"
        raise UsageError(f"{why}\n  {cure}") from error
    return pipeline, parts, resume


def _parts(asked: Asked) -> list[Part]:
    """The part that is asked for; none where it is all."""
    if not (asked.stages or asked.until or asked.since or asked.only or asked.sample is not None):
        return []
    from pipeline_runner.plan.select import Part

    return [Part(asked.stages or (), asked.until or (), asked.since or (), asked.only or (), asked.sample)]


def _foretell(asked: Asked, warn: Warn) -> None:
    """Say what would be run, and why."""
    from pipeline_runner.plan.check import cautions
    from pipeline_runner.plan.preflight.look import refuse
    from pipeline_runner.record.foretell import refuse_missing
    from pipeline_runner.spec.hidden import mask_of

    pipeline, _, resume = _loaded(asked)
    plan = pipeline.plan(workers=asked.workers, state=asked.state)
    for warning in (*pipeline.spec.warnings, *cautions(plan)):
        warn(warning)
    for warning in refuse(plan):
        warn(warning)
    made = pipeline.forecast(
        workers=asked.workers, state=asked.state, resume=resume or "", force=asked.force, cache=not asked.no_cache
    )
    told = json.dumps(made.to_json(), ensure_ascii=False) if asked.as_json else made.explain().rstrip("\n")
    print(mask_of(pipeline.spec).text(told), flush=True)
    refuse_missing(plan, made)


def _with_their_words(asked: Asked) -> AbstractContextManager[None]:
    """What names the pipeline again, and the run that is resumed, in what is advised."""
    if not asked.since and not asked.only and asked.resume is None:  # nothing is taken from before
        return nullcontext()
    from pipeline_runner.cli.onward import with_their_words

    return with_their_words(
        asked.file,
        p=asked.given,
        params=asked.params,
        profile=asked.profile,
        sample=asked.sample,
        state=asked.state,
        resume=asked.resume,
    )


def _news(told: Screen, asked: Asked) -> News:
    """Who tells what happens: bars on a terminal, lines elsewhere."""
    if isinstance(told, Colours) and told.terminal and not asked.quiet:
        from pipeline_runner.reporters.bars import Bars

        return Bars(told, quiet=asked.quiet, verbose=asked.verbose)
    from pipeline_runner.reporters.news import News

    return News(told, quiet=asked.quiet, verbose=asked.verbose)


@contextmanager
def _report(asked: Asked, told: Screen) -> Iterator[Callable[[Engine], None]]:
    """Who is to be told of the engine, so that a page can be made of its run. Errors: UsageError."""
    if asked.report is None:
        yield lambda engine: None
        return
    from pipeline_runner.cli.reporting import reporting

    with reporting(asked.report, asked.state, told.say if not asked.quiet else lambda text, style: None) as tell:
        yield tell


def _give(result: Result, asked: Asked, everything: bool) -> None:
    """Print what the run was for."""
    wanted = _wanted(result, asked.show or (), everything)
    if asked.as_json:
        print(_json(result.to_json(wanted)), flush=True)
        return
    from pipeline_runner.reporters.values import shown

    try:
        for name, stage in result.state.stages.items():
            if name in result.state.hooks:
                continue  # what a hook gives is nobody's result
            if wanted(name) and stage.status in ("done", "reused"):
                sys.stdout.write(_printable(result.hidden(shown(name, result[name]))) + "\n")
    finally:
        sys.stdout.flush()  # of thousands together


def _following(pipeline: Pipeline, result: Result, state: str | None) -> Next | None:
    """What to type next; None where the run was not kept."""
    from pipeline_runner.cli.onward import following
    from pipeline_runner.pipeline import state_folder

    folder = state_folder(pipeline.spec, state)
    about = {"file": pipeline.spec.file, "folder": str(pipeline.spec.folder)}
    return None if folder is None else following(result.id, about, folder)


def _place(file: str, state: str | None) -> tuple[Path, str]:
    """The state folder and the identity that the pipeline of a file will have, as far as that is known unread."""
    path = Path(os.path.realpath(file)).parent / Path(file).name  # resolve() raises at a link to itself
    return Path(state or os.environ.get("PRUN_STATE") or path.parent / ".prun").absolute(), str(path)


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
    if text.isascii():
        return text
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
            launch_no_more()
            self._end_all(limits.fork_servers())  # which then take their addresses away
            tidy_up()
            os._exit(128 + number)
        self._told = True
        self._terminal.leave_if_gone()
        self._engine.cancel(number)

    def _end_all(self, spare: Iterable[int] = ()) -> None:
        """End every process that this run has brought about. Takes no lock, since a handler may have interrupted
        whoever holds it; a tracker of semaphores goes by itself, when it has tidied up."""
        limits.kill_below(os.getpid(), {*self._others, *limits.trackers(), *spare})
