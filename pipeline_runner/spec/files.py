"""Reading the files of a pipeline as text, with every way in which that can fail told as a problem."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pipeline_runner.classes import dataclass, replace
from pipeline_runner.errors import Problem, Problems
from pipeline_runner.marks import Mark
from pipeline_runner.spec.problems import CircleOfFiles, FileUnreadable, NotAMapping, OutsideProject, describe
from pipeline_runner.syntax.reader import MOST_CHARACTERS, MOST_DEPTH, MapNode, TooDeep, TooLarge, decode, plain, read
from pipeline_runner.witness import digest, saw


@dataclass(frozen=True)
class Place:
    """One file of a pipeline: how people call it from where they are, and where it really is."""

    name: str
    path: Path

    @property
    def folder(self) -> Path:
        return self.path.parent


def find(
    text: str, mark: Mark, beside: Place, project: Path, outer: Sequence[Place], *, allow_outside: bool, cure: str
) -> Place | Problem:
    """The file that another one names, by a path from its own folder. It must lie in the project, links followed;
    `cure` says how else it may be had. It must be none of the `outer` ones, which lead to it."""
    if "://" in text:
        return FileUnreadable(mark=mark, path=text, why="only local files can be read here")
    try:
        path = (beside.folder / text).resolve()
        saw("leads", str(beside.folder / text), answer=str(path))
        if not allow_outside and not path.is_relative_to(project):
            return OutsideProject(mark=mark, path=text, leads_to=os.path.relpath(path, project), cure=cure)
        if path.exists() and not path.is_file() and not path.is_dir():
            return FileUnreadable(mark=mark, path=text, why="it is no regular file")
    except (OSError, ValueError, RuntimeError) as error:  # too long, a NUL, a circle of links
        return FileUnreadable(mark=mark, path=text, why=str(getattr(error, "strerror", None) or error).lower())
    found = Place(os.path.normpath(os.path.join(os.path.dirname(beside.name), text)), path)
    paths = [place.path for place in outer]
    if path in paths:
        return CircleOfFiles(mark=mark, files=(*(place.name for place in outer[paths.index(path) :]), found.name))
    return TooDeep(mark=mark) if len(outer) > MOST_DEPTH else found


def read_mapping(place: Place, what: str, mark: Mark, problems: list[Problem]) -> MapNode | None:
    """The keys of a file that another one names at `mark`; None after a problem. Nothing written: no keys."""
    try:
        text = read_text(place.path, place.name)
    except Problems as error:
        problems += [replace(problem, mark=problem.mark or mark) for problem in error.problems]
        return None
    document = read(text, place.name)
    problems += document.problems
    if document.root is None:
        return None if document.problems else MapNode({}, mark)
    if isinstance(document.root, MapNode):
        return document.root
    problems.append(NotAMapping(mark=document.root.mark, what=what, got=describe(plain(document.root))))
    return None


def read_text(path: Path, name: str) -> str:
    """The file's text. Errors: Problems, naming the path as the user wrote it."""
    try:
        with path.open("rb") as file:
            data = file.read(4 * MOST_CHARACTERS + 1)
    except (OSError, ValueError) as error:
        raise Problems([FileUnreadable(mark=None, path=name, why=_why(error))]) from error
    if len(data) > 4 * MOST_CHARACTERS:
        raise Problems([TooLarge(mark=None, what=f'too many characters in "{name}"', most=MOST_CHARACTERS)])
    saw("contents", str(path), answer=digest(data))
    text = decode(data, name)
    if isinstance(text, str):
        return text
    raise Problems([text])


def _why(error: OSError | ValueError) -> str:
    match error:
        case FileNotFoundError():
            return "there is no such file"
        case IsADirectoryError():
            return "it is a folder; name the file in it"
        case PermissionError():
            return "you may not read it"
        case OSError():
            return (error.strerror or str(error)).lower()
    return str(error)
