"""Whether the program of a `run` that is a list of words is there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from pipeline_runner.errors import Problem
from pipeline_runner.plan.preflight.files import before
from pipeline_runner.plan.preflight.written import place_of
from pipeline_runner.spec.command import CommandLine, Known
from pipeline_runner.spec.pipeline import PipelineSpec, StageName, StageSpec
from pipeline_runner.witness import read_variable, saw
from pipeline_runner.worker.job import COMMAND


def look_at_program(
    pipeline: PipelineSpec, stage: StageSpec, stages: Mapping[StageName, StageSpec]
) -> Iterator[Problem]:
    """The problem of a program that is nowhere. Stages before it may make or install it; a shell's text is its own."""
    command = stage.constants.get(COMMAND) if isinstance(stage.constants, Mapping) else None
    if not isinstance(command, CommandLine) or command.shell or before(stage, stages):
        return
    first = command.words[0]
    if not all(
        isinstance(piece, str) or (isinstance(piece, Known) and isinstance(piece.value, str)) for piece in first
    ):
        return
    name = "".join(piece.value if isinstance(piece, Known) else str(piece) for piece in first)
    why = _unrunnable(name, pipeline, stage)
    if why is not None:
        from pipeline_runner.plan.preflight.problems import NoProgram

        yield NoProgram(mark=place_of(stage, ("run", 0), value=True), stage=stage.name, program=name, why=why)


def _unrunnable(name: str, pipeline: PipelineSpec, stage: StageSpec) -> str | None:
    """Why the system would find nothing to run under this name; None: it would."""
    read_variable("PATH")
    path = {**os.environ, **pipeline.env, **stage.env}.get("PATH", os.defpath)
    folders = [""] if "/" in name else path.split(os.pathsep)
    start = os.path.join(pipeline.folder_of(stage), stage.workdir or "")
    places = [os.path.join(start, folder, name) for folder in folders]
    found = next(filter(runnable, places), None)
    if found is not None:
        saw("runnable", found, answer=True)
        return None
    if "/" not in name:
        return "there is no such program on the PATH"
    if os.path.isdir(places[0]):
        return "that is a folder"
    return "that may not be executed" if os.path.exists(places[0]) else "there is no such program"


def runnable(path: str) -> bool:
    """Whether this user may execute what is there."""
    return os.path.isfile(path) and os.access(path, os.X_OK)
