"""`--report FILE.html`: a run's page, written when the run has ended, however it ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipeline_runner.pages.target import Target
from pipeline_runner.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline_runner.engine.engine import Engine

Say = Callable[[str, str], None]


@contextmanager
def reporting(file: str, state: str | None, say: Say) -> Iterator[Callable[[Engine], None]]:
    """What is given is to be called with the engine, as soon as there is one: before that there is nothing to tell.

    Errors: UsageError, at once, when the file cannot be written.
    """
    target = Target(file)
    begun: list[Engine] = []
    try:
        yield begun.append
    finally:
        for engine in begun:
            _write(target, engine, state, say)


def _write(target: Target, engine: Engine, state: str | None, say: Say) -> None:
    try:
        target.write(_text(engine, state))
    except Exception as error:  # whatever it is: what a run has given does not depend on a page about it
        say(f"warning: the report was not written: {error}", "yellow")
        say(f"  prun report {engine.id} writes it again", "yellow")
    else:
        say(f"report: {target.path}", "")


def _text(engine: Engine, state: str | None) -> str:
    """Made from the journal, as `prun report` makes it."""
    from pipeline_runner.cli.onward import following
    from pipeline_runner.pages import page
    from pipeline_runner.pages.account import account
    from pipeline_runner.pipeline import state_folder
    from pipeline_runner.record.history import History
    from pipeline_runner.record.store import Store

    folder = state_folder(engine.plan.pipeline, state)
    if folder is None:
        raise AssertionError("a pipeline of a file has no state folder: this is our bug")
    history = History(Store(folder, create=False))
    return page.report(account(history, engine.id, following(engine.id, history.told(engine.id).about, folder)))
