"""Starts what takes long to start while this process still imports the rest of itself: a fork server needs 80 ms, and
so does an engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from pipeline_runner.axes import StartMethod
from pipeline_runner.backends._launch import launching
from pipeline_runner.plan.plan import Plan
from pipeline_runner.servers import may_start_early


def warm(plan: Plan) -> None:
    """Have the fork servers running that a plan's stages surely need. What fails here is told when they need it."""
    for library in dict.fromkeys(_libraries(plan)) if may_start_early() else ():
        with suppress(OSError), launching(library, StartMethod.FORKSERVER):
            pass


def _libraries(plan: Plan) -> Iterator[str]:
    """Of stages that are not off, and for which nothing can be there from before."""
    for name, stage in plan.stages.items():
        surely = name not in plan.skipped and name not in plan.taken and not stage.spec.cache
        if surely and stage.start_method is StartMethod.FORKSERVER and stage.choice.backend.library:
            yield stage.choice.backend.library
