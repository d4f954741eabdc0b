"""Whether each `${item…}` has a value, and one that can stand there, in the items that can be seen before the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path

from pipeline_runner.axes import OnError
from pipeline_runner.classes import dataclass
from pipeline_runner.errors import Problem
from pipeline_runner.plan.links import links
from pipeline_runner.plan.preflight.rows import rows
from pipeline_runner.plan.preflight.written import lost
from pipeline_runner.spec.command import CommandLine, is_hole, unfit
from pipeline_runner.spec.pipeline import StageSpec
from pipeline_runner.syntax.expressions import Expression, ExpressionError, Part, Reference, Text, references, render
from pipeline_runner.typed import Any

MOST = 1_000  # items: each blank is filled in with each of them (2 µs a reference, 20 a calculation)


@dataclass(frozen=True)
class _Blank:
    part: Part
    word: bool  # of a command

    def misfit(self, scope: Mapping[str, Any]) -> str | None:
        """Why it cannot be filled in; None: it can, or it needs more than is known."""
        try:
            value = render(self.part, scope)
        except ExpressionError as error:
            return error.message
        return unfit(value) if self.word and not isinstance(value, Part) else None


def look_at_blanks(stage: StageSpec, folder: Path) -> Iterator[Problem]:
    """The first item, for each blank, with which it cannot be filled in.

    With `on_error: skip` an item may be dropped for that; then only what fits none of them is a problem.
    """
    if stage.over is None:
        return
    blanks = list(dict.fromkeys(_blanks((stage.constants, stage.deps, stage.outs))))
    if not blanks or lost(stage, "over"):
        return
    known = rows(stage.over, folder, partial(links, stage))
    scopes = [{"item": row, "index": index} for index, row in enumerate(islice(known or (), MOST))]
    for blank in blanks:
        misfits = ((scope["index"], why) for scope in scopes if (why := blank.misfit(scope)))
        if (first := next(misfits, None)) is None:
            continue
        if stage.on_error is OnError.SKIP and sum(1 for _ in misfits) + 1 < len(scopes):
            continue
        from pipeline_runner.plan.preflight.problems import NoBlank

        mark = stage.mark(*map(str, references(blank.part)))
        yield NoBlank(mark=mark, stage=stage.name, index=first[0], why=first[1])


def _blanks(template: Any) -> Iterator[_Blank]:
    """What is to be filled in with an item, in reading order."""
    match template:
        case Reference() | Expression():
            if any(read.root in ("item", "index") for read in references(template)):
                yield _Blank(template, word=False)
        case CommandLine(words):
            for piece in chain.from_iterable(words):
                for blank in _blanks(piece):
                    yield _Blank(blank.part, is_hole(piece))
        case Text(parts):
            yield from chain.from_iterable(map(_blanks, parts))
        case Mapping():
            yield from chain.from_iterable(map(_blanks, template.values()))
        case Sequence() if not isinstance(template, str | bytes):
            yield from chain.from_iterable(map(_blanks, template))
