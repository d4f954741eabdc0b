"""Items of a user's iterator, taken in a thread of its own: one that is there never waits for one that is not.

Whoever feeds a generator by hand, or makes an item from the result of the one before, would else wait for ever: a chunk
of several items would be held back until its last one has come. Where a worker is idle nobody waits for a second item.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator

from pipeline_runner.calls import Calls
from pipeline_runner.typed import Any

PATIENCE_S = 0.005  # for the rest of a chunk, once it has begun
MOST = 1 << 13  # items in one draw: a generator of Python takes some ms for them, and several draws are in flight
LOOKS = 10  # meanwhile, whether a worker has become idle: then what is there goes at once


class LiveItems:
    """An intake of items that come when they come; taken no further ahead than somebody asks for.

    One thread draws at a time. Errors: whatever the user's iterator raises, after what it gave before.
    """

    arrivals = 0

    def __init__(self, items: Iterator[Any], idle: Callable[[], bool] = lambda: False) -> None:
        """`idle`: whether a worker has nothing to do."""
        self._items = items
        self._idle = idle
        self._here: deque[Any] = deque()
        self._wanted = 0  # items that should be here
        self._hungry = False  # one is enough
        self._wants = threading.Event()
        self._enough = threading.Event()
        self._ended = False
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self.total = 0

    @property
    def size(self) -> int | None:
        return None

    @property
    def dry(self) -> bool:
        """Whether it has nothing to give before its source brings something."""
        return self._hungry and not self._here

    def draw(self, most: int) -> Calls | None:
        most = min(most, MOST)
        if len(self._here) < most and not self._ended:
            self._ask_for(most)
        part = [self._here.popleft() for _ in range(min(most, len(self._here)))]
        if not part:
            if self._error is not None:
                raise self._error
            return None
        self.total += len(part)
        return Calls(range(self.total - len(part), self.total), ((part,),))

    def leave(self) -> None:
        """Whoever draws is let go; the iterator is asked for no more."""
        self._ended = True
        self._wants.set()
        self._enough.set()

    def _ask_for(self, most: int) -> None:
        """Wait for so many items, or for those that come soon, or for the first."""
        self._enough.clear()
        self._wanted = most
        self._wants.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._take, name="prun-source", daemon=True)
            self._thread.start()
        for _ in range(LOOKS):
            if self._idle() or self._enough.wait(PATIENCE_S / LOOKS):
                break
        self._hungry = True
        while not (self._here or self._ended):
            self._enough.clear()
            if not (self._here or self._ended):
                self._enough.wait()
        self._hungry = False
        self._wanted = 0

    def _take(self) -> None:
        here = self._here
        try:
            for item in self._items:
                here.append(item)
                if self._hungry:
                    self._hungry = False  # once is enough: until that thread runs, thousands more may come
                    self._enough.set()
                if len(here) >= self._wanted:
                    self._enough.set()
                    while len(here) >= self._wanted and not self._ended:
                        self._wants.wait()
                        self._wants.clear()
                    if self._ended:
                        return
        except BaseException as error:  # a user's source may raise anything: it is told where the next item would be
            self._error = error
        finally:
            self._ended = True
            self._enough.set()
