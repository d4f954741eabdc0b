"""An exception told as plain text, so that nothing of the user's can break on its way to the runner."""

from __future__ import annotations

import importlib
import pickle
import traceback
from pathlib import Path
from types import TracebackType

from pipeline_runner.calls import Cause, Failure
from pipeline_runner.errors import PipelineError

# Frames that say nothing to a user.
OURS = (str(Path(__file__).parents[1]), "<frozen importlib", importlib.__file__)
LONGEST = 10_000  # characters of a message that are kept


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


def _message(error: BaseException) -> str:
    try:
        text = str(error)
    except BaseException:  # a user's __str__ may do anything
        return "(its message cannot be shown: __str__ raised)"
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"


def _traceback(error: BaseException) -> str:
    if isinstance(error, PipelineError):
        return ""  # our own sentences name the place that matters
    try:
        return "".join(traceback.format_exception(type(error), error, _users(error.__traceback__), limit=-40))
    except BaseException:
        return "".join(traceback.format_tb(_users(error.__traceback__), limit=-40))


def _users(frames: TracebackType | None) -> TracebackType | None:
    """The traceback from the user's first frame on."""
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(OURS):
        frames = frames.tb_next
    return frames


def _round_trip(error: BaseException) -> bytes | None:
    """The exception itself, if it can be sent and read back: an __init__ of two arguments often cannot."""
    try:
        data = pickle.dumps(error.with_traceback(None), pickle.HIGHEST_PROTOCOL)
        pickle.loads(data)
    except BaseException:
        return None
    return data if len(data) < 1 << 20 else None
