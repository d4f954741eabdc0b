"""Where a stage names another: what it reads, what it waits for, and in which of its keys that is written."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline_runner.classes import dataclass, replace
from pipeline_runner.spec.pipeline import (
    Batches,
    Command,
    Computed,
    FromStage,
    Generate,
    Items,
    Matrix,
    Source,
    StageName,
    StageSpec,
    Zip,
)
from pipeline_runner.syntax.expressions import references


@dataclass(frozen=True)
class Link:
    """One place in which a stage names another."""

    source: StageName
    target: StageName
    key: str  # of the target: over, with, run, setup_with, if, needs
    items: bool = False  # its items are what the target's calls are made of, one by one

    @property
    def reads(self) -> bool:
        return self.key != "needs"


def links(stage: StageSpec) -> Iterator[Link]:
    """Every place in which this stage names another, in reading order."""
    if stage.over is not None:
        yield from _links_of_source(stage.name, stage.over)
    given = "run" if isinstance(stage.function, Command) else "with"
    for key, template in ((given, stage.constants), ("setup_with", stage.setup_with)):
        if template:
            yield from _links_of_template(stage.name, key, template)
    if stage.condition is not None:
        yield from _links_of_template(stage.name, "if", stage.condition.value)
    for source in stage.needs:
        yield Link(source, stage.name, "needs")


def _links_of_source(target: StageName, source: Source) -> Iterator[Link]:
    match source:
        case FromStage():
            yield Link(source.stage, target, "over", items=len(source.reference.path) == 1)
        case Zip(columns):
            for column in columns:
                yield from _links_of_source(target, column)
        case Batches(inner):
            yield from _links_of_source(target, inner)
        case Matrix(axes):  # each value of an axis is wanted again and again: it is no stream
            for axis in axes.values():
                yield from (replace(link, items=False) for link in _links_of_source(target, axis))
        case Computed(template):
            yield from _links_of_template(target, "over", template)
        case Generate(keywords=keywords):
            yield from _links_of_template(target, "over", keywords)
        case Items(list() | tuple() as values):
            yield from _links_of_template(target, "over", values)


def _links_of_template(target: StageName, key: str, template: object) -> Iterator[Link]:
    for reference in references(template):
        if reference.root == "stages" and reference.path:
            yield Link(StageName(str(reference.path[0])), target, key)
