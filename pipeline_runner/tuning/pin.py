"""Writes the best way of a stage into the file that the stage is written in, and sees that it holds from then on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pipeline_runner.errors import PipelineError, Problems
from pipeline_runner.marks import Mark
from pipeline_runner.plan.make import make_plan
from pipeline_runner.spec.files import read_text
from pipeline_runner.spec.pipeline import PipelineSpec, StageName
from pipeline_runner.syntax.edit import CannotEdit, with_keys

BESIDE = ("method", "call", "run")  # the keys that a new one is to follow
BOM = "\ufeff"

Keys = Mapping[str, str | int]


class CannotPin(PipelineError):
    """A method is not written into the file; the file is as it was."""

    exit_code = 2

    def __init__(self, file: str, stage: str, keys: Keys, why: str) -> None:
        super().__init__(file, stage, keys, why)
        self.file, self.stage, self.keys, self.why = file, stage, dict(keys), why

    def __str__(self) -> str:
        lines = [f"    {key}: {value}" for key, value in self.keys.items()]
        return "\n".join(
            [f'{self.file}: stage "{self.stage}" is left as it is: {self.why}', "  to have it, write there", *lines]
        )


def pin(spec: PipelineSpec, name: StageName, keys: Keys, again: Callable[[], PipelineSpec]) -> Mark | None:
    """Write these keys of a stage down, and say where. `again` reads the pipeline anew.

    Errors: CannotPin, CannotWrite.
    """
    why = ""
    for file in dict.fromkeys(_files(spec, name)):
        path = Path(os.path.realpath(file))
        text = read_text(path, file)
        bom = BOM if text.startswith(BOM) else ""
        inner = name.rpartition(".")[2]
        try:
            made = bom + with_keys(text.removeprefix(BOM), ["stages", inner], keys, after=BESIDE)
        except CannotEdit as refused:
            why = why or refused.why
            continue
        _write(path, made, file)
        try:
            return _checked(again, file, name, keys)
        except Problems as found:
            _write(path, text, file)
            raise CannotPin(file, name, keys, found.problems[0].sentence()) from found
        except BaseException:
            _write(path, text, file)
            raise
    raise CannotPin(spec.file, name, keys, why)


def _files(spec: PipelineSpec, name: StageName) -> Iterator[str]:
    """Where a stage may be written: its own file has the last word, before one that is included."""
    outer = name.rpartition(".")[0]
    yield spec.composed[StageName(outer)].file if outer else spec.file
    mark = spec.stages[name].mark("")
    if mark is not None:
        yield mark.file


def _checked(again: Callable[[], PipelineSpec], file: str, name: StageName, keys: Keys) -> Mark | None:
    """Where the file has it now. Errors: CannotPin when the pipeline does not say now what it was to say; Problems."""
    spec = again()
    choice, stage = make_plan(spec).stages[name].choice, spec.stages[name]
    if choice.method.name != keys["method"]:
        where = stage.mark("method")
        why = f"{where or 'something else'} has the last word, and says {stage.method or choice.method.name}"
        raise CannotPin(file, name, keys, why)
    return stage.mark("method")


def _write(path: Path, text: str, shown: str) -> None:
    """Replace a file, whole or not at all. Errors: OSError, which names it."""
    aside = path.with_name(f".{path.name}.prun-{os.getpid()}")
    try:
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            os.fchmod(file.fileno(), path.stat().st_mode & 0o7777)
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as refused:
        aside.unlink(missing_ok=True)
        why = (refused.strerror or str(refused)).lower()
        raise CannotWrite(shown, why) from refused


class CannotWrite(PipelineError):
    """The file may not be changed."""

    exit_code = 2

    def __init__(self, file: str, why: str) -> None:
        super().__init__(f"{file}: cannot be written: {why}")
        self.file, self.why = file, why
