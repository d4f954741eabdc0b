"""Whether the files that a stage takes its items from are there, unless a stage before it makes them."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pipeline_runner.errors import Problem, did_you_mean
from pipeline_runner.plan.links import links
from pipeline_runner.plan.preflight.written import place_of, sources
from pipeline_runner.spec.opening import SourceError, is_url, matches
from pipeline_runner.spec.pipeline import Csv, Glob, Jsonl, Lines, PipelineSpec, StageName, StageSpec
from pipeline_runner.spec.sources import items
from pipeline_runner.witness import saw, unsure


def look_at_files(
    pipeline: PipelineSpec, stage: StageSpec, stages: Mapping[StageName, StageSpec]
) -> tuple[list[Problem], list[str]]:
    """What is wrong with the files of a stage, and what might be."""
    if stage.over is None:
        return [], []
    found: list[Problem] = []
    warnings: list[str] = []
    named = [(source, path) for source, path in sources(stage.over) if isinstance(source, Lines | Csv | Jsonl | Glob)]
    if not named:
        return [], []
    folder = pipeline.folder_of(stage)
    earlier = [stages[name] for name in before(stage, stages)]
    for source, path in named:
        match source:
            case Lines(file) | Csv(file) | Jsonl(file) if not is_url(file) and not _made(
                folder / file, earlier, pipeline
            ):
                kind = type(source).__name__.lower()
                why = unreadable(folder / file)
                saw("readable", str(folder / file), answer=why)
                if why is None and not earlier:  # which may write it anew
                    why = spoiled(kind, file, folder)
                    saw("spoiled", kind, file, str(folder), answer=why)
                mark = place_of(stage, (*path, kind), value=True)
                if why is not None and earlier and why == _NONE:
                    place = f"{mark}: " if mark else ""
                    warnings.append(
                        f'{place}"{file}" is not there yet, and no stage before "{stage.name}" has it as outs'
                    )
                elif why is not None:
                    from pipeline_runner.plan.preflight.problems import NoInput

                    known = tuple(beside(folder / file, file)) if why == _NONE else ()
                    found.append(NoInput(mark=mark, stage=stage.name, path=file, why=why, known=known))
            case Glob(pattern) if not is_url(pattern) and not earlier and not matches(pattern, folder):
                mark = place_of(stage, (*path, "glob"), value=True)
                place = f"{mark}: " if mark else ""
                warnings.append(f'{place}no file matches "{pattern}"{_lost(pattern, folder)}')
    return found, warnings


def before(stage: StageSpec, stages: Mapping[StageName, StageSpec]) -> set[StageName]:
    """The stages that have ended, or at least begun, when this one begins: before a hook, all of them."""
    if stage.hook:
        return set(stages) - {stage.name}
    found: set[StageName] = set()
    todo = [stage]
    while todo:
        for link in links(todo.pop()):
            if link.source in stages and link.source not in found:
                found.add(link.source)
                todo.append(stages[link.source])
    return found - {stage.name}


def _made(file: Path, earlier: list[StageSpec], pipeline: PipelineSpec) -> bool:
    """Whether a stage before has the file among its `outs`."""
    made = (pipeline.folder_of(stage) / out for stage in earlier for out in stage.outs if isinstance(out, str))
    return os.path.normpath(file) in map(os.path.normpath, made)


_NONE = "there is no such file"


def unreadable(file: Path) -> str | None:
    """Why a file cannot be read; None: it can."""
    try:
        if file.is_dir():
            return "it is a folder; name the file in it"
        if not file.is_file():  # a pipe: what is opened and read of it now, the run would lack
            file.stat()
            return None
        with file.open("rb"):
            return None
    except OSError as error:
        return _NONE if error.errno == errno.ENOENT else (error.strerror or str(error)).lower()
    except ValueError as error:  # a NUL in its name
        return str(error)


def spoiled(kind: str, path: str, folder: Path) -> str | None:
    """What is wrong with the first row of a file that can be read; None: nothing. `kind`: lines, csv or jsonl."""
    if not (folder / path).is_file():
        return None
    try:
        next(items(_KINDS[kind](path), folder), None)
    except SourceError as error:
        return f"line {error.line}: {error.why}" if error.line else error.why
    return None


_KINDS: Mapping[str, Callable[[str], Lines | Csv | Jsonl]] = {"lines": Lines, "csv": Csv, "jsonl": Jsonl}


def beside(file: Path, written: str) -> Iterator[str]:
    """The files in the folder of one that is not there, written as it is."""
    try:
        names = sorted(os.listdir(file.parent))[:1000]
    except OSError:
        return
    head = os.path.dirname(written)
    yield from (os.path.join(head, name) for name in names)


def _lost(pattern: str, folder: Path) -> str:
    """Which folder of the pattern is not there, if it is that."""
    unsure()  # what is meant is guessed from what else is there
    at = os.fspath(folder)
    for part in Path(pattern).parts[:-1]:
        if any(c in part for c in "*?["):
            break
        # os.path.isdir, not Path.is_dir: that one raises of a name longer than a file may have.
        if not os.path.isdir(os.path.join(at, part)):
            return f': there is no folder "{part}"{did_you_mean(part, _folders_in(at))}'
        at = os.path.join(at, part)
    return ""


def _folders_in(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.is_dir()]
    except OSError:
        return []
