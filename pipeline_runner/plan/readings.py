"""What `args` means where it is left out: the styles in which a stage may be read, the usual one first."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from pipeline_runner.axes import Style
from pipeline_runner.methods import Method
from pipeline_runner.spec.pipeline import Glob, Items, Lines, Range, Source, StageSpec, Zip


class Reading(IntEnum):
    """How near an argument style is to what `args` means when it is left out."""

    USUAL = 0
    ROWS = 1  # another shape, but every call gets the same arguments
    SINGLY = 2  # the same, one call at a time


def readings(stage: StageSpec, named: Method | None = None) -> Mapping[Style, Reading]:
    """The styles in which the stage may be read, the usual one first."""
    if stage.style is not None:
        return {stage.style: Reading.USUAL}
    if named is not None and fits(named.style, stage.over):
        return {named.style: Reading.USUAL}
    return _usual_readings(stage)


def _usual_readings(stage: StageSpec) -> Mapping[Style, Reading]:
    if stage.over is None:
        return {Style.SINGLE: Reading.USUAL}
    if isinstance(stage.over, Zip):
        return {Style.ZIP: Reading.USUAL, Style.STAR: Reading.ROWS, Style.SINGLE: Reading.SINGLY}
    singly = {Style.SINGLE: Reading.SINGLY} if _plain(stage.over) else {}
    return {Style.MAP: Reading.USUAL, **singly}


def left_whole(stage: StageSpec, styles: Mapping[Style, Reading]) -> bool:
    """Whether also a method that is asked for one call at a time is to give an item as it is: what an item means is not
    to depend on backend or dispatch, where neither `args` nor `method` says it."""
    return stage.style is None and stage.method is None and list(styles) == [Style.MAP]


def _plain(source: Source) -> bool:
    """Whether no item is a list or a mapping, as far as can be known: then f(item) and f(*item) are the same call."""
    match source:
        case Range() | Glob() | Lines():
            return True
        case Items(list() | tuple() as values):
            return not any(isinstance(value, list | tuple | Mapping) for value in values)
    return False


def fits(style: Style, source: Source | None) -> bool:
    """Whether a style can take what `over` gives."""
    match style:
        case Style.SINGLE:
            return True
        case Style.STAR:
            return source is not None
        case Style.MAP:
            return source is not None and not isinstance(source, Zip)
        case Style.ZIP:
            return isinstance(source, Zip)
