"""A step ready to call: its function imported, its argument style turned into one plain `run(given)`."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import FunctionType

from pipeline_runner.axes import Style
from pipeline_runner.classes import dataclass
from pipeline_runner.typed import Any, cast
from pipeline_runner.worker.functions import resolve
from pipeline_runner.worker.job import COMMAND, FunctionSource, Job, Step

Spread = Callable[[Any], tuple[Sequence[Any], Mapping[str, Any]]]  # an input → its positions and keywords


@dataclass(frozen=True)
class Call:
    """How a step is called."""

    style: Style | None
    run: Callable[[Any], Any]  # run(input)
    run_with: Callable[[tuple[Any, Mapping[str, Any]]], Any]  # run((input, this call's own keywords))

    def inputs(self, columns: Sequence[list[Any]], size: int) -> Sequence[Any]:
        """One input a call: the item, the row of a zip, or None for a call that takes none."""
        if not columns:
            return [None] * size
        return list(zip(*columns, strict=True)) if self.style is Style.ZIP else columns[0]


def set_up(job: Job) -> None:
    """Run the job's setup, if it has one. Errors: whatever it raises."""
    if job.setup is not None:
        load(job.setup, job.folder)(**pickle.loads(job.setup_with))


def prepare(job: Job) -> tuple[Call, ...]:
    """Import each of the job's functions. Errors: whatever an import raises."""
    return tuple(prepare_one(step, job.folder) for step in job.steps)


def load(source: FunctionSource, folder: str) -> Callable[..., Any]:
    """The function that a source names. Errors: what the import raises, or FunctionError."""
    if source.kind == "shell":
        raise AssertionError("a command is no function: this is our bug")
    if source.kind == "pickle":
        function: Callable[..., Any] = pickle.loads(source.data)
        return function
    return resolve(source.kind, source.where, source.attribute, folder)


def prepare_one(step: Step, folder: str) -> Call:
    """Import a step's function. Errors: whatever its import raises."""
    return _of_command(step) if step.function.kind == "shell" else _of_function(step, folder)


def _of_command(step: Step) -> Call:
    """Its item is in the command already."""
    from pipeline_runner.worker import shell  # only workers that run commands need it

    stdout = cast("shell.Stdout", step.function.attribute)
    fixed = pickle.loads(step.constants)
    function = _with_outs(step, lambda **given: shell.run(given[COMMAND], stdout))
    return Call(step.style, lambda _: function(**fixed), lambda given: function(**{**fixed, **given[1]}))


def _of_function(step: Step, folder: str) -> Call:
    function = load(step.function, folder)
    function = _run_to_its_end(function)
    function = _with_outs(step, function)
    constants = pickle.loads(step.constants)
    fixed: Mapping[str, Any] = constants if isinstance(constants, dict) else {}
    spread = _spread(step, constants if isinstance(constants, list) else ())

    def run_with(given: tuple[Any, Mapping[str, Any]]) -> Any:
        args, keywords = spread(given[0])
        return function(*args, **{**fixed, **given[1], **keywords})

    return Call(step.style, _run(step, function, fixed, spread), run_with)


_ATOMS = frozenset({int, str, float, bool, bytes, type(None)})
"""What is surely neither positions nor keywords: to ask whether it is a Mapping takes longer than a quick call."""


def _run(step: Step, function: Callable[..., Any], fixed: Mapping[str, Any], spread: Spread) -> Callable[[Any], Any]:
    """The function of one input, with as little around it as its style allows."""

    call = partial(function, **fixed) if fixed else function

    def spread_out(given: Any) -> Any:
        args, keywords = spread(given)
        return call(*args, **keywords)

    def of_item(item: Any) -> Any:
        return call(item) if type(item) in _ATOMS else spread_out(item)

    def of_row(row: Any) -> Any:
        return call(*row) if type(row) in (list, tuple) else spread_out(row)

    match step.style:
        case Style.MAP:
            return call
        case Style.SINGLE:
            return of_item
        case Style.STAR:
            return of_row
        case Style.ZIP if not step.names:
            return of_row
    return spread_out


def _run_to_its_end(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same, if what it gives is its value; else a function that makes the value of what it gives."""
    if type(function) is FunctionType and not vars(function) and not function.__code__.co_flags & _UNFINISHED:
        return function
    import inspect  # most functions are plain, and it takes 5 ms

    if inspect.isgeneratorfunction(function):
        return _listing(function)
    return _awaiting(function) if inspect.iscoroutinefunction(function) else function


_UNFINISHED = 0x20 | 0x80  # inspect.CO_GENERATOR, inspect.CO_COROUTINE


def _with_outs(step: Step, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with care for the files that its calls are to leave behind."""
    if not step.outs:
        return function
    from pipeline_runner.worker.outs import writing  # only workers that write such files need it

    return writing(function)


def _spread(step: Step, positions: Sequence[Any]) -> Spread:
    match step.style:
        case None:
            return lambda _: (positions, {})
        case Style.MAP:
            return lambda item: ((item,), {})
        case Style.SINGLE:
            return _single
        case Style.STAR:
            return lambda row: ((), row) if isinstance(row, Mapping) else (row, {})
        case Style.ZIP if step.names:
            return lambda row: ((), dict(zip(step.names, row, strict=True)))
        case _:
            return lambda row: (row, {})


def _single(item: Any) -> tuple[Sequence[Any], Mapping[str, Any]]:
    if isinstance(item, Mapping):
        return (), item
    return (item, {}) if isinstance(item, list | tuple) else ((item,), {})


def _awaiting(function: Callable[..., Any]) -> Callable[..., Any]:
    """An `async def` is run to its end, in a loop of its own."""
    import asyncio

    def awaiting(*args: Any, **kwargs: Any) -> Any:
        return asyncio.run(function(*args, **kwargs))

    return awaiting


def _listing(function: Callable[..., Any]) -> Callable[..., Any]:
    """A generator cannot leave its process, so a function that yields gives the list of what it yields."""

    def listing(*args: Any, **kwargs: Any) -> list[Any]:
        return list(function(*args, **kwargs))

    return listing
