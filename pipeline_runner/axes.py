"""The survey's three axes (dispatch, arguments, returns) and the other words a stage may choose from."""

from __future__ import annotations

from enum import StrEnum


class Dispatch(StrEnum):
    """When the next call is handed in (survey §1)."""

    BLOCKING = "blocking"  # one call ends before the next begins
    BATCH = "batch"  # as many as there are workers, then wait for all of them
    ASYNC = "async"  # a free worker takes the next call at once


class Style(StrEnum):
    """How an item becomes a call's arguments, and how the pool is asked (survey §2). `args` in YAML."""

    SINGLE = "single"  # one task at a time: f(*item), f(**item)
    MAP = "map"  # one iterable: f(item)
    STAR = "star"  # rows: f(*row), f(**row)
    ZIP = "zip"  # one iterable a parameter: f(a[i], b[i])


class Returns(StrEnum):
    """What a stage hands back, and so what the edge to its readers is (survey §3)."""

    VALUE = "value"
    LIST = "list"
    APPLY_RESULT = "apply_result"
    MAP_RESULT = "map_result"
    ITERATOR = "iterator"
    UNORDERED = "unordered"
    NONE = "none"

    @property
    def streams(self) -> bool:
        """Whether a reader may start while the stage still runs."""
        return self in (Returns.ITERATOR, Returns.UNORDERED)


class StartMethod(StrEnum):
    """How a worker process comes to be (multiprocessing's own words)."""

    FORKSERVER = "forkserver"
    SPAWN = "spawn"
    FORK = "fork"


class OnError(StrEnum):
    """What a call that failed for good does to the run."""

    STOP = "stop"  # cancel the run
    FINISH = "finish"  # let everything independent end, then fail
    SKIP = "skip"  # drop the failed calls, go on


class Status(StrEnum):
    """How a stage, or a run, ended."""

    DONE = "done"
    REUSED = "reused"
    SKIPPED = "skipped"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PARTIAL = "partial"  # a run only: it ended, with calls dropped
    INTERRUPTED = "interrupted"  # a run only: by a signal

    @property
    def said(self) -> str:
        """What is said of it after its name: `failed`, `was skipped`."""
        return str(self) if self is Status.FAILED else f"was {self}"
