"""What to type next about a run, from where one is now, and where its state is."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pipeline_runner.errors import UsageError
from pipeline_runner.typed import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline_runner.reporters.summary import Next


def state_here(state: str | None) -> Path:
    """The state folder of commands that name no pipeline: what was said, $PRUN_STATE, or `.prun` here."""
    return Path(os.path.abspath(state or os.environ.get("PRUN_STATE") or ".prun"))


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


@contextmanager
def with_their_words(file: str | None, **said: object) -> Iterator[None]:
    """Where a run lacks what other stages have made: tell the command that makes it, with the options that say which
    pipeline is meant. `said`: by the options' long names, or their only letter."""
    try:
        yield
    except UsageError as error:
        from pipeline_runner.record.foretell import SourcesMissing

        if isinstance(error, SourcesMissing) and file is not None:
            error.command = shlex.join(["prun", file, error.first, *_options(said)])
        raise


def _options(said: Mapping[str, object]) -> Iterator[str]:
    for name, value in said.items():
        for one in value if isinstance(value, list) else () if value is None else (value,):
            yield from (f"-{name}" if len(name) == 1 else f"--{name}", str(one))


def file_of(about: Mapping[str, Any]) -> Path:
    """The pipeline's file, wherever one is now."""
    return Path(about["folder"]) / Path(about["file"]).name


def _short(path: Path) -> str:
    """As it is found from here, where that is shorter."""
    relative = os.path.relpath(path)
    return relative if len(relative) < len(str(path)) else str(path)
