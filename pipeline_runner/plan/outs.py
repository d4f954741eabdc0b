"""What can be seen of `outs` before anything runs: two calls that must write one file, a file outside the project."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from pathlib import Path

from pipeline_runner.classes import dataclass
from pipeline_runner.errors import Problem
from pipeline_runner.spec.pipeline import PipelineSpec, StageName, StageSpec
from pipeline_runner.syntax.expressions import Text
from pipeline_runner.typed import Any


@dataclass(frozen=True, kw_only=True)
class OutOfEveryCall(Problem):
    """A stage has many calls, and all write the same file."""

    stage: str
    out: str

    def sentence(self) -> str:
        return f'every call of stage "{self.stage}" would write the same file, "{self.out}"'

    def advice(self) -> Sequence[str]:
        return ['Give each call a file of its own: outs: ["out/${item | stem}.txt"], or ${index}.']


@dataclass(frozen=True, kw_only=True)
class OutOfTwoStages(Problem):
    """Two stages write the same file."""

    stage: str
    other: str
    out: str

    def sentence(self) -> str:
        return f'stage "{self.stage}" writes "{self.out}", and so does stage "{self.other}"'

    def advice(self) -> Sequence[str]:
        return ["Give each its own file: nobody could say whose is there."]


@dataclass(frozen=True, kw_only=True)
class OutNotInside(Problem):
    """An out that leads out of the project's folder, as it is written."""

    stage: str
    out: str

    def sentence(self) -> str:
        return f'"{self.out}" of stage "{self.stage}" is not inside the project\'s folder'

    def advice(self) -> Sequence[str]:
        return ["Write it somewhere below the folder of the pipeline; or say that it is meant: allow_outside: true."]


@dataclass(frozen=True, kw_only=True)
class OutIsOurs(Problem):
    """An out that prun itself reads or writes."""

    stage: str
    out: str

    def sentence(self) -> str:
        return f'"{self.out}" of stage "{self.stage}" cannot be an out: {OURS}'


@dataclass(frozen=True, kw_only=True)
class OutInAnother(Problem):
    """An out within another one, which is replaced whole."""

    stage: str
    out: str
    other: str
    whole: str

    def sentence(self) -> str:
        return f'"{self.out}" of stage "{self.stage}" is within "{self.whole}" of stage "{self.other}"'

    def advice(self) -> Sequence[str]:
        return ["Give each a place of its own: whoever writes the outer one replaces it whole."]


OURS = "it is a file of the pipeline itself, or where its runs are kept"


def is_ours(path: str, folder: str, files: Collection[str]) -> bool:
    """Whether prun itself reads or writes a place in a project's folder. `files`: the pipeline's. All absolute."""
    return ".prun" in os.path.relpath(path, folder).split(os.sep) or path in files


def unwritable(stage: StageSpec, folder: Path, files: Collection[str]) -> Iterator[Problem]:
    """Outs of one stage that cannot be, whatever its items are. `folder`: outside of which it does not write; `files`:
    the pipeline's own."""
    for out in fixed(stage):
        path = os.path.normpath(out)
        # One through a symbolic link is followed when the stage begins.
        if path == "." or (not stage.allow_outside and _leads_out(path, folder)):
            yield OutNotInside(mark=stage.mark("outs"), stage=stage.name, out=out)
        elif is_ours(os.path.abspath(folder / path), os.path.abspath(folder), files):
            yield OutIsOurs(mark=stage.mark("outs"), stage=stage.name, out=out)
        elif stage.over is not None:
            yield OutOfEveryCall(mark=stage.mark("outs"), stage=stage.name, out=out)


def _leads_out(path: str, folder: Path) -> bool:
    if os.path.isabs(path):
        return not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
    return path.split("/")[0] == ".."


def written_twice(spec: PipelineSpec) -> Iterator[Problem]:
    """Outs that two stages have, or that are one within the other."""
    stages = {**spec.stages, **spec.hooks}
    first: dict[str, tuple[StageName, str]] = {}
    for name, stage in stages.items():
        for out in fixed(stage):
            path = os.path.normpath(spec.folder_of(stage) / out)
            other, _ = first.setdefault(path, (name, out))
            if other != name:
                yield OutOfTwoStages(mark=stage.mark("outs"), stage=name, other=other, out=out)
    for path, (name, out) in first.items():
        above = (first[whole] for whole in map(str, Path(path).parents) if whole in first and whole != str(spec.folder))
        for other, whole in islice(above, 1):
            yield OutInAnother(mark=stages[name].mark("outs"), stage=name, out=out, other=other, whole=whole)


def folders(spec: PipelineSpec) -> list[str]:
    """The folders in which, or below which, calls write, as far as they are the same for each call."""
    stages = (*spec.stages.values(), *spec.hooks.values())
    found = {(spec.folder_of(stage), _folder(out)) for stage in stages for out in stage.outs}
    return sorted({os.path.abspath(folder / inside) for folder, inside in found})


def _folder(out: Any) -> str:
    match out:
        case str():
            return os.path.dirname(out.rstrip("/"))
        case Text(parts=(str(begins), *_)):
            return os.path.dirname(begins)
    return ""


def fixed(stage: StageSpec) -> list[str]:
    """Those of its outs that are the same for each call."""
    return [out for out in stage.outs if isinstance(out, str)]
