"""Pages that were made a moment ago: ten tabs cost what one costs, and to watch a run never takes much from it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from time import monotonic

from pipeline_runner.classes import dataclass
from pipeline_runner.record.glance import Glance, Traces

MOST = 32  # pages that are kept
PACE_S = 0.4  # a page is not made more often
REST = 9  # times as long as it took to make a page, nothing is made: then a tenth of one CPU goes into pages at most


@dataclass(frozen=True)
class Page:
    body: bytes
    moves: bool  # it is another one each moment, also while nothing is written: it tells how long a run takes

    @property
    def tag(self) -> str:
        """The same for the same text alone."""
        return f'"{sha256(self.body).hexdigest()[:32]}"'


@dataclass(frozen=True)
class _Made:
    page: Page
    traces: Traces
    until: float  # by the monotonic clock; before that it is not made again


class Kept:
    """Gives pages, made anew where they may have changed. May be used by several threads."""

    def __init__(self, glance: Glance) -> None:
        self._glance = glance
        self._lock = threading.Lock()
        self._made: OrderedDict[str, _Made] = OrderedDict()

    def page(self, name: str, make: Callable[[], Page]) -> Page:
        """The page of this name. Errors: those of `make`."""
        with self._lock:
            made = self._made.get(name)
            if made is None or not self._holds(made):
                made = self._make(make)
                self._made[name] = made
                while len(self._made) > MOST:
                    self._made.popitem(last=False)
            self._made.move_to_end(name)
            return made.page

    def _holds(self, made: _Made) -> bool:
        return monotonic() < made.until or (not made.page.moves and made.traces == self._glance.traces())

    def _make(self, make: Callable[[], Page]) -> _Made:
        began = monotonic()
        traces = self._glance.traces()  # before the page is made: what is written meanwhile makes another page of it
        page = make()
        ended = monotonic()
        return _Made(page, traces, ended + max(PACE_S, REST * (ended - began)))
