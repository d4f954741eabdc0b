"""Whether a failed call is tried again, and after which wait."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterator, Mapping

from pipeline_runner.calls import Calls, Cause, Failure, Pack, column_values
from pipeline_runner.classes import dataclass
from pipeline_runner.masks import NOTHING, Mask
from pipeline_runner.spec.pipeline import Retry
from pipeline_runner.syntax.expressions import Reference
from pipeline_runner.typed import Any


class _Short(reprlib.Repr):
    """Values in one short line, secrets hidden before anything is cut away."""

    def __init__(self, mask: Mask) -> None:
        super().__init__()
        self.maxstring = self.maxother = 80
        self._mask = mask

    def repr_str(self, value: str, level: int) -> str:
        return super().repr_str(self._mask.text(value), level)

    def repr_instance(self, value: object, level: int) -> str:
        told = self._mask.text(repr(value)) if self._mask else ""
        return super().repr_instance(_Told(told) if told else value, level)


@dataclass(frozen=True)
class _Told:
    text: str

    def __repr__(self) -> str:
        return self.text


def again_after(retry: Retry, failure: Failure, tries: int, random: Callable[[], float]) -> float | None:
    """Seconds until the next try, or None when there is to be none. `random` gives 0 to 1."""
    if tries > retry.limit or (retry.on and not _meant(retry, failure)):
        return None
    wait_s = retry.delay_s * retry.backoff ** (tries - 1)
    if retry.max_delay_s is not None:
        wait_s = min(wait_s, retry.max_delay_s)
    return wait_s * (1 - retry.jitter * random())


def _meant(retry: Retry, failure: Failure) -> bool:
    words = {failure.type, *failure.lineage}
    if failure.cause in (Cause.LOST, Cause.TIMEOUT, Cause.MEMORY):
        words.add(failure.cause.value)
    # A class that is written with its module, as tracebacks show it, is meant by its last name.
    return not words.isdisjoint(word.rpartition(".")[2] for word in retry.on)


def argument_in_short(call: Calls, carried: bytes | None, constants: Any = None, mask: Mask = NOTHING) -> str:
    """What a failed call was given, in one short line. Never raises: it is shown where something has failed already.

    `constants`: what a call is given that has no item, its references as they are written.
    """
    short = _Short(mask)
    try:
        if carried is not None:
            return short.repr(Pack(carried, 0, 1).values()[0])
        row = [column_values(column)[0] for column in call.columns]
    except BaseException:  # a user's class may raise anything when it is read back
        return "(cannot be shown)"
    if call.columns:
        return ", ".join(_shown(value, short) for value in row)
    return ", ".join(_constants_in_short(constants, short))


def _constants_in_short(constants: Any, short: _Short) -> Iterator[str]:
    for name, value in constants.items() if isinstance(constants, Mapping) else enumerate(constants or ()):
        shown = str(value) if isinstance(value, Reference) else _shown(value, short)
        yield f"{name}={shown}" if isinstance(name, str) else shown


def _shown(value: object, short: _Short) -> str:
    try:
        return short.repr(value)
    except BaseException:  # or when it is shown
        return f"({type(value).__name__}, whose repr raised)"
