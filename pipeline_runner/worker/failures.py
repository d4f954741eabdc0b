"""An exception told as plain text, so that nothing of the user's can break on its way to the runner."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from itertools import dropwhile
from types import TracebackType

from pipeline_runner.calls import Cause, Failure
from pipeline_runner.errors import PipelineError
from pipeline_runner.typed import TYPE_CHECKING

if TYPE_CHECKING:
    import traceback

# Frames that say nothing to a user, where a traceback begins with them: ours, and how we import and await theirs.
OURS = (
    os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), ""),
    "<frozen importlib",
    os.path.join(os.path.dirname(os.__file__), "importlib", ""),
    os.path.join(os.path.dirname(os.__file__), "asyncio", ""),
)
LONGEST = 10_000  # characters of a message that are kept
DEEPEST = 40  # frames of an exception that are kept, the innermost


def failure_of(error: BaseException, cause: Cause) -> Failure:
    """What happened, with the user's frames only. Never raises."""
    kind = type(error)
    return Failure(
        cause=cause,
        type=kind.__name__,
        message=_message(error),
        traceback=_traceback(error),
        lineage=tuple(c.__name__ for c in kind.__mro__ if c not in (object, BaseException)),
        pickled=_round_trip(error),
    )


def told(error: BaseException) -> str:
    """The traceback with the user's frames only, also where one exception was raised while another was handled,
    or holds others. Errors: what a user's exception class raises."""
    import traceback

    whole = traceback.TracebackException.from_exception(error, limit=-DEEPEST)
    for one in _with_all_below(whole):
        one.stack[:] = dropwhile(lambda frame: frame.filename.startswith(OURS), one.stack)
    text = "".join(whole.format())
    if len(text) > LONGEST:
        for one in _with_all_below(whole):
            text = text.replace(str(one), cut(str(one)))
    return text


def cut(message: str) -> str:
    """As much of it as is kept."""
    return message if len(message) <= LONGEST else message[:LONGEST] + "…"


def users(frames: TracebackType | None) -> TracebackType | None:
    """The traceback from the user's first frame on; None where it has none."""
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(OURS):
        frames = frames.tb_next
    return frames


def _message(error: BaseException) -> str:
    try:
        return cut(str(error))
    except BaseException:  # a user's __str__ may do anything
        return "(its message cannot be shown: __str__ raised)"


def _traceback(error: BaseException) -> str:
    if isinstance(error, PipelineError):
        return ""  # our own sentences name the place that matters
    try:
        return told(error)
    except BaseException:
        import traceback

        return "".join(traceback.format_tb(users(error.__traceback__), limit=-DEEPEST))


def _with_all_below(
    error: traceback.TracebackException | None,
) -> Iterator[traceback.TracebackException]:
    """It, what it came from, and what it holds. The standard library has cut circles already."""
    while error is not None:
        yield error
        for inner in error.exceptions or ():
            yield from _with_all_below(inner)
        error = error.__cause__ or error.__context__


def _round_trip(error: BaseException) -> bytes | None:
    """The exception itself, if it can be sent and read back: an __init__ of two arguments often cannot."""
    try:
        data = pickle.dumps(error.with_traceback(None), pickle.HIGHEST_PROTOCOL)
        pickle.loads(data)
    except BaseException:
        return None
    return data if len(data) < 1 << 20 else None
