"""Where the calls of a stage write their `outs`: inside the project, and no two calls to the same place."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from pipeline_runner.errors import PipelineError
from pipeline_runner.plan.outs import OURS, is_ours
from pipeline_runner.spec.pipeline import StageSpec
from pipeline_runner.syntax.expressions import as_text, references, render
from pipeline_runner.typed import Any
from pipeline_runner.worker.outs import KEYWORD, Place, Places, aside, us

Call = tuple[str, int]  # a stage, and the number of one of its calls


class OutTwice(PipelineError):
    """Two calls write to the same place."""

    def __init__(self, out: str, first: Call, second: Call) -> None:
        super().__init__(out, first, second)
        self.out, self.first, self.second = out, first, second

    def __str__(self) -> str:
        calls = " and ".join(f"{stage}[{index}]" for stage, index in (self.first, self.second))
        return f'both {calls} write "{self.out}"; give each call a place of its own, for example with ${{item | stem}}'


class OutWithin(PipelineError):
    """A place is within another out: who writes that one, replaces it whole."""

    def __init__(self, out: str, call: Call, other: str, whole: Call) -> None:
        super().__init__(out, call, other, whole)
        self.out, self.call, self.other, self.whole = out, call, other, whole

    def __str__(self) -> str:
        (stage, index), (other, number) = self.call, self.whole
        return (
            f'"{self.out}", which {stage}[{index}] writes, and "{self.other}" of {other}[{number}] are one within the '
            "other: whoever writes the outer one replaces it whole; give each a place of its own"
        )


class OutOfOurs(PipelineError):
    """An out is what prun itself reads or writes."""

    def __init__(self, out: str) -> None:
        super().__init__(out)
        self.out = out

    def __str__(self) -> str:
        return f'"{self.out}" cannot be an out: {OURS}'


class OutOutside(PipelineError):
    """An out is not in the project's folder."""

    def __init__(self, out: str, really: str, folder: str) -> None:
        super().__init__(out, really, folder)
        self.out, self.really, self.folder = out, really, folder

    def __str__(self) -> str:
        if self.really == self.folder:
            return f'"{self.out}" is the project\'s own folder, and cannot be an out'
        leads = "" if self.really == self.out else f" ({self.really})"
        return (
            f'"{self.out}"{leads} is outside of {self.folder}; '
            "if it is meant to be, say so with `allow_outside: true` in its stage"
        )


class Taken:
    """The places of a run's outs, and which call writes each. No two calls write to one, and none is within another."""

    def __init__(self) -> None:
        self._calls: dict[str, Call] = {}
        self._below: dict[str, str] = {}  # a folder → an out somewhere in it

    def __iter__(self) -> Iterator[str]:
        return iter(self._calls)

    def __len__(self) -> int:
        return len(self._calls)

    def take(self, stage: str, index: int, files: Sequence[str], told: str = "") -> None:
        """Note that a call writes these files, or has written them. Errors: OutTwice, OutWithin."""
        call = stage, index
        for file in files:
            first = self._calls.setdefault(file, call)
            if first != call:
                raise OutTwice(told or file, first, call)
            if file in self._below:
                self._refuse(told or file, call, self._below[file])
            folder = os.path.dirname(file)
            while folder not in self._below and folder != os.path.dirname(folder):  # those above are noted then
                self._below[folder] = file  # first: of two threads one is to see what the other has noted
                if folder in self._calls:
                    self._refuse(told or file, call, folder)
                folder = os.path.dirname(folder)

    def _refuse(self, out: str, call: Call, other: str) -> None:
        raise OutWithin(out, call, other, self._calls[other])


class Writing:
    """The outs of one stage, call by call. `taken` is the whole run's."""

    def __init__(self, stage: StageSpec, folder: Path, files: Collection[str], taken: Taken) -> None:
        """`files`: the pipeline's own."""
        self._stage = stage
        self._folder = folder
        self._files = files
        self._root = os.path.realpath(folder)
        self._taken = taken
        self._told = any(reference.root in ("out", "outs") for reference in references(spoken(stage)))
        self._parents: dict[str, str] = {}  # folders, and where they really are
        self._owner = us()
        self._only: Places | None = None  # where there is one call

    def places(self, index: int, item: Any) -> Places:
        """Where a call writes. Errors: OutTwice, OutWithin, OutOutside, OutOfOurs, ExpressionError."""
        if self._only is not None:
            return self._only
        scope = {"item": item, "index": index}
        shown = [as_text(render(template, scope)) for template in self._stage.outs]
        places = Places(self._owner, index, tuple(self._place(out, index) for out in shown))
        if self._stage.over is None:
            self._only = places
        return places

    def _place(self, out: str, index: int) -> Place:
        path = os.path.normpath(os.path.join(self._folder, out))
        final = os.path.join(self._really(os.path.dirname(path)), os.path.basename(path))
        if os.path.islink(final):
            final = os.path.realpath(final)
        if final == self._root or not (self._stage.allow_outside or final.startswith(self._root + os.sep)):
            raise OutOutside(out, final, self._root)
        if is_ours(final, self._root, self._files):
            raise OutOfOurs(out)
        self._taken.take(self._stage.name, index, [final], told=out)
        return Place(out, final, self._given(out, final), out.endswith("/"), self._told)

    def _really(self, folder: str) -> str:
        if folder not in self._parents:
            self._parents[folder] = os.path.realpath(folder)
        return self._parents[folder]

    def _given(self, out: str, final: str) -> str:
        """The name that the call writes to: relative as the out is, where that leads to the same place."""
        folder, name = os.path.split(out.rstrip("/"))
        here = os.path.join(self._really(os.path.normpath(os.path.join(self._folder, folder))), name)
        if self._stage.workdir is None and here == final:
            return os.path.join(folder, os.path.basename(aside(final)), name)
        return os.path.join(aside(final), os.path.basename(final))


def spoken(stage: StageSpec) -> list[Any]:
    """All templates of a stage in which a call may be told its outs."""
    return [stage.constants]


def names(places: Places) -> dict[str, Any]:
    """What `${out}` and `${outs}` stand for, and the keyword by which the worker learns of them."""
    given = [place.given for place in places.each]
    return {"out": given[0], "outs": given}


def keyword(places: Places) -> Mapping[str, Any]:
    return {KEYWORD: places}
