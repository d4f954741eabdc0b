"""The slowest chunks of a stage, found as they end: a row for each would double the journal, and five tell enough."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappush, heapreplace

MOST = 5


class Slowest:
    """By the seconds of a call; those of calls that went together are known on average only."""

    def __init__(self) -> None:
        self._found: list[tuple[float, int, int]] = []  # a heap: the least of them first
        self._least_s = 0.0

    def learn(self, indices: Sequence[int], calls: int, took_s: float) -> None:
        """A chunk has ended: the first `calls` of these."""
        each_s = took_s / (calls or 1)
        if each_s <= self._least_s:  # of nearly every chunk, this is all
            return
        if len(self._found) < MOST:
            heappush(self._found, (each_s, indices[0], calls))
        else:
            heapreplace(self._found, (each_s, indices[0], calls))
        if len(self._found) == MOST:
            self._least_s = self._found[0][0]

    def told(self) -> tuple[tuple[int, int, float], ...]:
        """First call, calls, and seconds of each; the slowest first."""
        return tuple((first, calls, each_s) for each_s, first, calls in sorted(self._found, reverse=True))
