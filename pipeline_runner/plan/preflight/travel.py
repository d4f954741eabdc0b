"""Whether what the Python API was given can be sent to a worker: functions, and constants of `with`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress

from pipeline_runner.errors import Problem
from pipeline_runner.marks import Mark
from pipeline_runner.plan.preflight.written import place_of
from pipeline_runner.spec.pipeline import Given, StageSpec
from pipeline_runner.typed import Any
from pipeline_runner.worker.packing import TRUSTED, pack


def look_at_what_travels(stage: StageSpec) -> Iterator[Problem]:
    """The problem of everything that no worker can be sent. What YAML holds always can."""
    for key, function in (("call", stage.function), ("setup", stage.setup)):
        if isinstance(function, Given) and (why := _stuck(function.function)):
            yield _problem(stage.mark(key), stage, f"the function {function}", why)
    for key, template in (("with", stage.constants), ("setup_with", stage.setup_with)):
        if not template:
            continue
        entries = template.items() if isinstance(template, Mapping) else enumerate(template)
        for name, value in entries:
            if not _plain(value) and (why := _stuck(value)):
                yield _problem(place_of(stage, (key, name)), stage, f'the argument "{name}"', why)


def _problem(mark: Mark | None, stage: StageSpec, what: str, why: str) -> Problem:
    from pipeline_runner.plan.preflight.problems import CannotTravel

    return CannotTravel(mark=mark, stage=stage.name, what=what, why=why)


def _stuck(value: Any, depth: int = 0) -> str | None:
    """Why a value cannot be made into bytes; None: it can."""
    try:
        pack(value)
    except Exception as error:  # what pickle, dill and classes of the user raise
        return _held(value, depth) or f"{type(error).__name__}: {(str(error).splitlines() or ['without a word'])[0]}"
    return None


def _held(function: Any, depth: int) -> str | None:
    """What a function has hold of that is stuck: dill could send the function itself, and the error names that."""
    if depth > 3:  # it may have hold of itself
        return None
    names = getattr(getattr(function, "__code__", None), "co_freevars", ())
    for name, cell in zip(names, getattr(function, "__closure__", None) or (), strict=True):
        with suppress(ValueError):  # not filled yet
            if why := _stuck(cell.cell_contents, depth + 1):
                return f'its "{name}": {why}'
    return None


def _plain(value: Any) -> bool:
    """Whether it surely can: text, numbers, references, and what libraries hold their data in, which may be large."""
    if type(value) in _SCALARS:
        return True
    match value:
        case Mapping():
            return type(value) is dict and all(map(_plain, value)) and all(map(_plain, value.values()))
        case list() | tuple() | set() | frozenset():
            return all(map(_plain, value))
    module = type(value).__module__.partition(".")[0]
    if module == "builtins":
        return False
    return module == "pipeline_runner" or (module in TRUSTED and not callable(value))


_SCALARS = frozenset({type(None), bool, int, float, complex, str, bytes, bytearray, range, slice})
