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
    if not _is_there(name, pipeline, stage):
        from pipeline_runner.plan.preflight.problems import NoProgram

        yield NoProgram(mark=place_of(stage, ("run", 0), value=True), stage=stage.name, program=name)


def _is_there(name: str, pipeline: PipelineSpec, stage: StageSpec) -> bool:
    """Whether there is a file of this name where the system would look for it; whether it may be run, a run tells."""
    read_variable("PATH")
    path = {**os.environ, **pipeline.env, **stage.env}.get("PATH", os.defpath)
    folders = [""] if "/" in name else path.split(os.pathsep)
    start = os.path.join(pipeline.folder_of(stage), stage.workdir or "")
    found = next(filter(os.path.exists, (os.path.join(start, folder, name) for folder in folders)), None)
    if found is not None:
        saw("there", found, answer=True)
    return found is not None
