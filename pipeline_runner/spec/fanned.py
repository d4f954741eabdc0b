"""A single value made into items: what `over: ${stages.x}` means where x was one call."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline_runner.errors import PipelineError
from pipeline_runner.typed import Any


class NotIterable(PipelineError):
    """`over` names one value, and that value has no items."""

    def __init__(self, over: str, value: object) -> None:
        self.over, self.type = over, type(value).__name__
        super().__init__(f"`over: {over}` needs items, but its value is of type {self.type}")


def fan_out(over: str, value: Any) -> list[Any]:
    """The items of one value: of a mapping, its [key, value] pairs. Errors: NotIterable."""
    if isinstance(value, Mapping):
        return [[key, item] for key, item in value.items()]
    if isinstance(value, str | bytes):
        raise NotIterable(over, value)
    try:
        return list(value)
    except TypeError:
        raise NotIterable(over, value) from None
