"""Whether the program of a `run` is there: of a list its first word, of a shell's text what that surely begins with."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping

from pipeline_runner.errors import Problem
from pipeline_runner.plan.preflight.files import before
from pipeline_runner.plan.preflight.written import place_of
from pipeline_runner.spec.command import CommandLine, Known, Piece, Text
from pipeline_runner.spec.pipeline import PipelineSpec, StageName, StageSpec
from pipeline_runner.spec.words import CLUSTERS
from pipeline_runner.syntax.expressions import Raw, Reference
from pipeline_runner.witness import read_variable, saw
from pipeline_runner.worker.job import COMMAND


def look_at_program(
    pipeline: PipelineSpec, stage: StageSpec, stages: Mapping[StageName, StageSpec]
) -> Iterator[Problem]:
    """The problem of a program that is nowhere. Stages before it may make or install it, and machines of a cluster have
    their own."""
    command = stage.constants.get(COMMAND) if isinstance(stage.constants, Mapping) else None
    if not isinstance(command, CommandLine) or before(stage, stages):
        return
    name = _begins_with(command.words[0]) if command.shell else _word(command.words[0])
    why = name and _unrunnable(name, pipeline, stage)
    if name and why and not _is_elsewhere(stage) and not (command.shell and _is_shells_own(name)):
        from pipeline_runner.plan.preflight.problems import NoProgram

        at = ("run",) if command.shell else ("run", 0)
        yield NoProgram(mark=place_of(stage, at, value=True), stage=stage.name, program=name, why=why)


def _word(word: Text) -> str | None:
    """A word, where all of it is known."""
    values = (piece.value if isinstance(piece, Known) else piece for piece in word)
    texts = [value for value in values if isinstance(value, str)]
    return "".join(texts) if len(texts) == len(word) else None


# A plain word, and nothing on its line that the shell might do in its place, or after it, or with its failure.
_PLAINLY = re.compile(r"\s*([A-Za-z0-9_./][A-Za-z0-9_.+/-]*)(?:[ \t][^|&;(){}`\n]*)?(?:\n|\Z)")


def _begins_with(text: Text) -> str | None:
    """The program with which a shell's text begins, where that is a plain word, and it fails if there is none."""
    if not isinstance(text[0], str) or not all(map(_is_one_word, text[1:])):
        return None
    found = _PLAINLY.match("".join(piece if isinstance(piece, str) else "_" for piece in text))
    if found is None or (len(text) > 1 and found.end(1) >= len(text[0])):  # a word that goes on in a value is another
        return None
    line = found.group()
    goes_on = line.endswith("\\\n") or line.count("'") % 2 or line.count('"') % 2
    return None if goes_on else found.group(1)


def _is_one_word(piece: Piece) -> bool:
    """Whether the shell reads a piece as it stands, or as a value: not as code, which a `raw` one may be."""
    return isinstance(piece, str | Reference) or (isinstance(piece, Known) and not isinstance(piece.value, Raw))


def _is_elsewhere(stage: StageSpec) -> bool:
    """Whether its calls run on other machines. Asked only where this one lacks something."""
    from pipeline_runner.backends import table

    found = table().find(stage.method) if stage.method else None
    return stage.backend in CLUSTERS or (found is not None and not table().owners[found.name].local)


def _is_shells_own(name: str) -> bool:
    """Whether the shell has a command or a word of this name itself. Asked only of what is on no path."""
    if "/" in name:
        return False
    from subprocess import DEVNULL, run  # only where something seems to be missing

    asked = ["/bin/sh", "-c", 'command -v "$1"', "sh", name]
    env = {**os.environ, "PATH": os.devnull}
    return run(asked, env=env, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, check=False).returncode == 0


def _unrunnable(name: str, pipeline: PipelineSpec, stage: StageSpec) -> str | None:
    """Why the system would find nothing to run under this name; None: it would."""
    read_variable("PATH")
    path = next(env["PATH"] for env in (stage.env, pipeline.env, os.environ, _DEFAULT) if "PATH" in env)
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


_DEFAULT = {"PATH": os.defpath}


def runnable(path: str) -> bool:
    """Whether this user may execute what is there."""
    return os.path.isfile(path) and os.access(path, os.X_OK)
