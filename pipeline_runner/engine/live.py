"""What a running stage hands back: live iterators and handles, as its `returns` says."""

from __future__ import annotations

import pickle
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from time import monotonic

from pipeline_runner.calls import Pack
from pipeline_runner.engine.results import Results
from pipeline_runner.events import CallFailed
from pipeline_runner.state import RunState
from pipeline_runner.typed import Any


class CallError(Exception):
    """A call failed for good. `failure` tells all that is known; the original exception, where it
    could be brought here, is the cause of this one."""

    def __init__(self, failed: CallFailed) -> None:
        self.failed = failed
        self.failure = failed.failure
        super().__init__(str(failed))
        if failed.failure.pickled is not None:
            # Its class may be one that only workers can import, and may do anything when it is read.
            with suppress(Exception):
                self.__cause__ = pickle.loads(failed.failure.pickled)


class LiveValues(Iterator[Any]):
    """The values of a stage while it runs. A reader like any other: who is slow here slows the stage down.

    Order: call order for `iterator`, as they end for `unordered`. May be gone through once.
    Errors: next() raises what made the stage end early, after all that came before.
    """

    def __init__(
        self, lock: threading.Condition, moved: Callable[[], None], error: Callable[[], BaseException | None]
    ) -> None:
        self._lock = lock
        self._moved = moved
        self._error = error
        self._segments: deque[Pack] = deque()
        self._values: Iterator[Any] = iter(())
        self._ended = False
        self._holds = True
        self._begun = self._finished = False

    @property
    def broken_off(self) -> bool:
        """Whether somebody began to read and did not go on to the end."""
        return self._begun and not self._finished

    @property
    def backlog(self) -> int:
        return len(self._segments) if self._holds else 0

    def let_go(self) -> None:
        """Hold the stage back no more: whoever reads here waits for something else first. The values stay here."""
        self._holds = False
        self._moved()

    def push(self, indices: range, pack: Pack) -> None:
        self._segments.append(pack)

    def end(self, total: int) -> None:
        self._ended = True

    def __iter__(self) -> LiveValues:
        return self

    def __next__(self) -> Any:
        self._begun = True
        for value in self._values:
            return value
        while True:
            with self._lock:
                while not self._segments and not self._ended:
                    self._lock.wait()
                if not self._segments:
                    break
                pack = self._segments.popleft()
            self._moved()
            self._values = iter(pack.values())
            for value in self._values:
                return value
        self._finished = True
        error = self._error()
        if error is not None:
            raise error
        raise StopIteration


class _Waiting:
    """What handles share: a stage's results, and a wait for something to be true of them."""

    def __init__(self, stage: str, results: Results, lock: threading.Condition, state: RunState) -> None:
        self._stage = stage
        self._results = results
        self._lock = lock
        self._state = state

    def _await(self, done: Callable[[], bool], timeout: float | None) -> bool:
        deadline = None if timeout is None else monotonic() + timeout
        with self._lock:
            while not done():
                left = None if deadline is None else deadline - monotonic()
                if left is not None and left <= 0:
                    return False
                self._lock.wait(left)
        return True

    def _failed(self, index: int) -> CallFailed | None:
        return next((f for f in list(self._state.failures) if f.stage == self._stage and f.index == index), None)


class CallHandle(_Waiting):
    """One call's result to be: what `apply_result` gives for each call."""

    def __init__(self, index: int, *about: Any) -> None:
        super().__init__(*about)
        self.index = index

    def ready(self) -> bool:
        """Whether the call has ended, well or not."""
        return self._results.has(self.index) or self._results.dropped(self.index) or self._results.ended

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the call has ended, at most `timeout` seconds."""
        self._await(self.ready, timeout)

    def successful(self) -> bool:
        """Whether the call ended well. Errors: ValueError while it has not ended."""
        if not self.ready():
            raise ValueError(f"call {self.index} of stage {self._stage!r} has not ended")
        return self._results.has(self.index)

    def get(self, timeout: float | None = None) -> Any:
        """The call's value. Errors: TimeoutError; CallError when it failed; StageUnfinished when it never ran."""
        if not self._await(self.ready, timeout):
            raise TimeoutError(f"call {self.index} of stage {self._stage!r} has not ended after {timeout} s")
        if self._results.has(self.index):
            return self._results.one(self.index)
        failed = self._failed(self.index)
        if failed is not None:
            raise CallError(failed)
        self._results.values()
        raise KeyError(self.index)


class MapHandle(_Waiting):
    """A whole stage's result to be: what `map_result` gives."""

    def ready(self) -> bool:
        return self._results.ended

    def wait(self, timeout: float | None = None) -> None:
        self._await(self.ready, timeout)

    def successful(self) -> bool:
        """Whether every call ended well. Errors: ValueError while the stage runs."""
        if not self.ready():
            raise ValueError(f"stage {self._stage!r} has not ended")
        return not any(failed.stage == self._stage for failed in self._state.failures)

    def get(self, timeout: float | None = None) -> list[Any]:
        """All values, in call order. Errors: TimeoutError; StageUnfinished."""
        if not self._await(self.ready, timeout):
            raise TimeoutError(f"stage {self._stage!r} has not ended after {timeout} s")
        return self._results.values()
