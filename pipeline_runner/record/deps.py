"""The files that calls read beside their arguments (`deps`): which they are, and what is in them when a stage begins.

They are read when the stage begins and not before, since another stage may have written them. What is in them goes into
the digests of the stage's calls, and so into those of all that is made of their values.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline_runner.errors import PipelineError
from pipeline_runner.hashing import blake2b
from pipeline_runner.record.counted import SIZE
from pipeline_runner.record.files import Files
from pipeline_runner.spec.pipeline import StageSpec
from pipeline_runner.syntax.expressions import as_text, references, render
from pipeline_runner.typed import Any

Read = tuple[tuple[str, str], ...]  # (path, digest of what is in it), in the order of `deps`


class DepMissing(PipelineError):
    """A file that `deps` name is not there, or a pattern of theirs finds none."""

    def __init__(self, stage: str, dep: str, folder: str, why: str = "") -> None:
        super().__init__(stage, dep, folder, why)
        self.stage, self.dep, self.folder = stage, dep, folder
        self.why = why  # what the operating system says of one that is there

    def __str__(self) -> str:
        if self.why:
            return f'stage "{self.stage}" depends on "{self.dep}", which cannot be read: {self.why.lower()}'
        from pipeline_runner.spec.patterns import has_magic

        if has_magic(self.dep):
            return f'stage "{self.stage}" depends on "{self.dep}", and no file in {self.folder} is called so'
        return f'stage "{self.stage}" depends on "{self.dep}", which is not in {self.folder}'


def fixed(stage: StageSpec) -> list[Any]:
    """Those of a stage's deps that are the same for each of its calls."""
    return [dep for dep in stage.deps if not of_call(dep)]


def varying(stage: StageSpec) -> list[Any]:
    """Those that speak of ${item} or ${index}."""
    return [dep for dep in stage.deps if of_call(dep)]


def of_call(template: Any) -> bool:
    return any(reference.root in ("item", "index") for reference in references(template))


def filled(templates: Iterable[Any], index: int, item: Any) -> list[str]:
    """The deps of one call. Errors: ExpressionError."""
    return [as_text(render(template, {"item": item, "index": index})) for template in templates]


def read(stage: str, folder: Path, deps: Iterable[str], files: Files) -> Read:
    """What is in them. Errors: DepMissing."""
    return tuple((path, _digest(stage, folder, path, files)) for dep in deps for path in found(stage, folder, dep))


def found(stage: str, folder: Path, dep: str) -> list[str]:
    """The files and folders that one dep means. Errors: DepMissing."""
    if (folder / dep).exists():
        return [dep]
    from pipeline_runner.spec.patterns import has_magic, matching

    paths = matching(dep, folder) if has_magic(dep) else []
    if not paths:
        raise DepMissing(stage, dep, str(folder))
    return paths


def _digest(stage: str, folder: Path, path: str, files: Files) -> str:
    try:
        return files.digest(folder / path)
    except OSError as error:
        raise DepMissing(stage, path, str(folder), error.strerror or str(error)) from error


def salt(told: Sequence[tuple[str, str]]) -> bytes:
    """8 bytes that stand for files with what is in them; nothing for no files. The same files in another order are the
    same files."""
    return blake2b(repr(sorted(told)).encode("utf-8", "surrogateescape"), digest_size=SIZE).digest() if told else b""
