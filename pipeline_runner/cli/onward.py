"""What to type next about a run, from where one is now, and where its state is."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

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


def file_of(about: Mapping[str, Any]) -> Path:
    """The pipeline's file, wherever one is now."""
    return Path(about["folder"]) / Path(about["file"]).name


def _short(path: Path) -> str:
    """As it is found from here, where that is shorter."""
    relative = os.path.relpath(path)
    return relative if len(relative) < len(str(path)) else str(path)
