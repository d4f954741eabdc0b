"""`prun replay RUN STAGE[ITEM]`: one recorded call again, in this process, where a debugger can look at it."""

from __future__ import annotations

import faulthandler
import signal
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline_runner.cli import kept, onward, options
from pipeline_runner.cli.kept import Run
from pipeline_runner.errors import PipelineError, UsageError
from pipeline_runner.masks import NOTHING, Mask
from pipeline_runner.reporters.plain import plain
from pipeline_runner.worker.failures import told as in_full
from pipeline_runner.worker.failures import users

if TYPE_CHECKING:
    from pipeline_runner.record.history import Told
    from pipeline_runner.spec.pipeline import PipelineSpec
    from pipeline_runner.state import StageState


class MadeInPython(UsageError):
    """The run's functions are only in the script or notebook that made it."""

    def __init__(self, run: str, pipeline: str, there: str) -> None:
        super().__init__(run, pipeline, there)
        self.run, self.pipeline, self.there = run, pipeline, there

    def __str__(self) -> str:
        return (
            f'pipeline "{self.pipeline}" of run {self.run} was made in Python: no command can find its functions\n'
            f"  where it is made: {self.there}"
        )


def register(app: typer.Typer) -> None:
    app.command(name="replay")(replay)


def replay(
    run: Run,
    call: Annotated[str, typer.Argument(metavar="STAGE[ITEM]", help="The call.", show_default=False)],
    pdb: Annotated[bool, typer.Option("--pdb", help="Stop in the debugger where it fails.")] = False,
    state: options.State = None,
) -> None:
    """Run one call of a run again, in this process, with the arguments that it had. Exit 1 when it raises."""
    from pipeline_runner.plan.make import make_plan
    from pipeline_runner.replaying import replayed
    from pipeline_runner.reporters.values import shown
    from pipeline_runner.spec.hidden import mask_of

    history = kept.history(state)
    told = history.told(history.find(run))
    stage, item = kept.stage_and_item(call)
    if not told.about.get("file"):
        there = onward.following(told.run, told.about, history.store.folder).replay(stage, item or 0)
        raise MadeInPython(told.run, told.pipeline, there)
    plan = make_plan(pipeline_of(told), workers=told.about.get("workers"))
    again = replayed(history, told.run, plan, stage, _the_one(history.state(told.run).stages, stage, item))
    for note in again.notes:
        typer.echo(plain(f"note: {note}"), err=True)
    mask = mask_of(plan.pipeline)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # Ctrl-C is the call's here, and the debugger's
    faulthandler.enable()  # a call that crashes compiled code says where
    try:
        value = again.run()
    except BaseException as error:  # whatever it does, sys.exit and Ctrl-C too, is what is looked at here
        tell(error, mask)
        if pdb:
            _stop_at(error)
        raise typer.Exit(1) from error
    typer.echo(mask.text(shown(call, value)))


def _the_one(stages: Mapping[str, StageState], stage: str, item: int | None) -> int:
    """The item: where none is said, that of a stage with one call. Errors: UsageError."""
    if item is None and stage in stages and stages[stage].calls != 1:
        if not stages[stage].calls:
            raise UsageError(f'stage "{stage}" made no call in that run: there is none to see again')
        raise UsageError(f'stage "{stage}" has more than one call\n  say which: {stage}[ITEM]')
    return item or 0


def pipeline_of(told: Told) -> PipelineSpec:
    """The pipeline as the file has it now, with the run's own parameters. Errors: Problems."""
    from pipeline_runner.spec.build import load

    about = told.about
    return load(str(onward.file_of(about)), params=about.get("given", {}), profile=about.get("profile"))


def tell(error: BaseException, mask: Mask = NOTHING) -> None:
    """The traceback of the user's own code; of an error of ours, its sentence."""
    typer.echo(mask.text(plain(str(error) if isinstance(error, PipelineError) else in_full(error).rstrip())), err=True)


def _stop_at(error: BaseException) -> None:
    import pdb

    frames = users(error.__traceback__)
    if frames is None:  # a command's, or of what was to be sent: every frame is ours
        typer.echo("note: none of your own Python failed here, so there is nothing for --pdb to stop at", err=True)
    else:
        pdb.post_mortem(frames)
