"""A stage made in Python: the same keys as in YAML, with functions and iterables as they are."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence

from pipeline_runner.marks import Mark
from pipeline_runner.typed import Any


class Stage:
    """One step of a pipeline, given in Python.

    `call` is a function, or text like "module:function"; or else `run` is a command. `over` is
    anything iterable, a source as YAML has it ({"range": 10}), or "${stages.name}". All other keys
    are those of the YAML, by the same names; `with` and `if` are words of Python's, so they are
    `with_` and `if_` here.

    Errors: none here; `Pipeline(…)` tells all problems of all its stages together.
    """

    def __init__(
        self,
        name: str,
        *,
        call: Callable[..., Any] | str | None = None,
        run: str | Sequence[object] | None = None,
        over: Iterable[Any] | str | None = None,
        args: str | None = None,
        with_: Mapping[str, Any] | Sequence[Any] | None = None,
        dispatch: str | None = None,
        returns: str | None = None,
        method: str | None = None,
        backend: str | None = None,
        if_: str | bool | None = None,
        **keys: Any,
    ) -> None:
        self.name = name
        self.call = call
        self.run = run
        self.over = over
        given = {
            "args": args,
            "with": with_,
            "dispatch": dispatch,
            "returns": returns,
            "method": method,
            "backend": backend,
            "if": if_,
            **keys,
        }
        self.keys = {key: value for key, value in given.items() if value is not None}
        self.mark = _caller()

    def __repr__(self) -> str:
        return f"Stage({self.name!r}, " + (f"call={self.call!r})" if self.run is None else f"run={self.run!r})")


def _caller() -> Mark:
    """The line of Python that made the stage, so that a problem can show it."""
    import linecache

    frame = sys._getframe(2)
    file, line = frame.f_code.co_filename, frame.f_lineno
    text = linecache.getline(file, line).rstrip("\n")
    start = len(text) - len(text.lstrip())
    return Mark(file, line, start + 1, max(1, len(text) - start), text)
