"""The executor of threads, apart from its rows in the table: it imports logging, which only those who use it need."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from weakref import WeakSet

from pipeline_runner.typed import Any


class Threads(ThreadPoolExecutor):
    """The executor, and the futures whose waiters have to be woken when it is given up."""

    def __init__(self, workers: int) -> None:
        super().__init__(workers, thread_name_prefix="prun-call")
        self.futures: WeakSet[Future[Any]] = WeakSet()

    def submit(self, function: Any, /, *args: Any, **keywords: Any) -> Future[Any]:
        future = super().submit(function, *args, **keywords)
        self.futures.add(future)
        return future
