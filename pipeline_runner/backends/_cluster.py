"""What Dask, Ray and MPI have in common: clusters that stages share, and receipts that are told as they come."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec
from queue import SimpleQueue

from pipeline_runner.backends._launch import PoolKilled
from pipeline_runner.calls import Receipt
from pipeline_runner.classes import dataclass, field
from pipeline_runner.methods import Process
from pipeline_runner.typed import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from concurrent.futures import Future

NO_LEAVE = (
    "its workers may be on other hosts, and cannot ask before each call whether there is a token; "
    "give the stage fewer workers instead"
)
CANNOT = {"limits": NO_LEAVE}
PRICE = (
    4  # a chunk goes by the front and the deputy, and Dask's scheduler sends the next when it has heard of the last:
)
# in chunks of 30 ms, 500 calls of 5 ms took about 1.3 times as long as in chunks of 120 ms


def needs(extra: str, *modules: str) -> Callable[[], str | None]:
    """Why a backend cannot be used where these modules are not installed. They are looked for, and not imported."""

    def why() -> str | None:
        missing = [name for name in modules if find_spec(name) is None]
        if not missing:
            return None
        return f"{' and '.join(missing)} not installed: pip install 'prun-pipelines[{extra}]'"

    return why


class Home(Protocol):
    """A cluster that was started, or found."""

    @property
    def gone(self) -> bool: ...
    def close(self) -> None: ...


class Homes:
    """The clusters of this process. Stages that ask for the same one share it; the last one out closes it."""

    def __init__(self, make: Callable[[Any], Home]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._known: dict[Hashable, Home] = {}
        self._users: dict[Home, int] = {}

    def enter(self, kind: Hashable) -> Home:
        """One of this kind: that which others are at, unless it is gone. Errors: as of making it."""
        with self._lock:
            home = self._known.get(kind)
            if home is None or home.gone:
                home = self._known[kind] = self._make(kind)
            self._users[home] = self._users.get(home, 0) + 1
        return home

    def leave(self, home: Home) -> None:
        with self._lock:
            self._users[home] -= 1
            if self._users[home]:
                return
            del self._users[home]
            self._known = {kind: one for kind, one in self._known.items() if one is not home}
        home.close()


def nobody(receipt: Receipt) -> None:
    """Nobody is to be told: the method itself is being looked at."""


@dataclass(eq=False)
class Opened:
    """A stage's hold on a cluster."""

    pool: Any  # the library's own object, the one that is asked
    rest: tuple[Any, ...] = ()  # what each chunk is given behind its payload: the brief
    tell: Callable[[Receipt], None] = nobody
    promised: set[Future[Receipt]] = field(default_factory=set)
    ended: threading.Event = field(default_factory=threading.Event)

    def promise(self) -> Future[Receipt]:
        """What somebody may wait for, and is woken from when the pool is killed."""
        if self.ended.is_set():
            raise PoolKilled()
        from concurrent.futures import Future

        future: Future[Receipt] = Future()
        self.promised.add(future)
        return future

    def keep(self, promise: Future[Receipt], receipt: Receipt | BaseException) -> None:
        """A chunk has come to its end: tell it, then let whoever waits for it go on."""
        self.promised.discard(promise)
        if isinstance(receipt, BaseException):
            if not promise.done():
                promise.set_exception(receipt)
            return
        if not self.ended.is_set():
            self.tell(receipt)
        with suppress(Exception):  # InvalidStateError: the pool was killed in this moment
            promise.set_result(receipt)

    def wake(self) -> None:
        """Nothing will come any more."""
        self.ended.set()
        for promise in list(self.promised):
            with suppress(Exception):
                promise.set_exception(PoolKilled())


class InOrder:
    """Promises, kept in the order in which they were made."""

    def __init__(self) -> None:
        self._waiting: deque[Future[Receipt]] = deque()

    def add(self, promise: Future[Receipt]) -> None:
        self._waiting.append(promise)

    def ready(self) -> Iterator[Receipt]:
        """Those that need not be waited for."""
        while self._waiting and self._waiting[0].done():
            yield self._waiting.popleft().result()

    def rest(self) -> Iterator[Receipt]:
        while self._waiting:
            yield self._waiting.popleft().result()


class AsTheyCome(InOrder):
    """Promises, as they are kept."""

    def __init__(self) -> None:
        super().__init__()
        self._came: SimpleQueue[Future[Receipt]] = SimpleQueue()
        self._owed = 0

    def add(self, promise: Future[Receipt]) -> None:
        self._owed += 1
        promise.add_done_callback(self._came.put)

    def ready(self) -> Iterator[Receipt]:
        while not self._came.empty():
            yield self._next()

    def rest(self) -> Iterator[Receipt]:
        while self._owed:
            yield self._next()

    def _next(self) -> Receipt:
        promise = self._came.get()
        self._owed -= 1
        return promise.result()


def no_processes(opened: Opened) -> Sequence[Process]:
    """They are the library's own, and none of them runs a call."""
    return ()
