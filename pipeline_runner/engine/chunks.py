"""How many calls travel together: enough to drown the cost of a message, few enough to end together."""

from __future__ import annotations

AIM_S = 0.03  # of work in a chunk: a message costs 0.25–0.8 ms of CPU, so this loses about 2 %
BUDGET_S = 0.05  # after which a worker hands the rest back, so that a wrong guess costs a resend, not a wait
WHOLE_AIM_S = 0.1  # for methods that take all their input at once: larger, since all of it is dispatched blind
WHOLE_BUDGET_S = 0.5  # the rest then waits for the next round, whose sizes know better
GROWTH = 8  # at most so many times the last size, until a size has been seen to last
MOST = 1 << 16  # calls
AHEAD = 2  # chunks of large values a worker that are in flight: one at work and one waiting; more only take memory
HEAVY = 1 << 23  # bytes of large buffers that make a chunk large enough, however short its calls are


class Sizes:
    """The size of a stage's next chunk, from the measured time of the calls before it."""

    def __init__(self, workers: int, fixed: int | None) -> None:
        self._workers = workers
        self._fixed = fixed
        self._each_s: float | None = None  # moving average of a call's time
        self._largest = 1

    def budget_s(self, lazy: bool) -> float:
        """How long a chunk may take before it hands back its rest; 0 where the user chose the size."""
        if self._fixed:
            return 0.0
        return BUDGET_S if lazy else WHOLE_BUDGET_S

    def learn(self, calls: int, took_s: float) -> None:
        """A chunk of so many calls took so long."""
        if not calls:
            return
        each = took_s / calls
        self._each_s = each if self._each_s is None else 0.7 * self._each_s + 0.3 * each
        self._largest = max(self._largest, calls)

    def next(self, left: int | None) -> int:
        """How many calls the next chunk should have, when so many are left (None: nobody knows)."""
        if self._fixed:
            return self._fixed
        if self._each_s is None:
            return 1
        size = min(int(AIM_S / max(self._each_s, 1e-9)), self._largest * GROWTH, MOST)
        if left is not None:
            # Guided: what is left is shared out in ever smaller pieces, so that workers end together.
            size = min(size, left // (2 * self._workers))
        return max(1, size)

    def whole(self, calls: int) -> int:
        """The size for a method that wants all its input at once: four chunks a worker, as Pool.map has it, and
        smaller ones when the calls are known to be long."""
        if self._fixed:
            return self._fixed
        size = min(-(-calls // (4 * self._workers)), MOST)
        if self._each_s is not None:
            size = min(size, int(WHOLE_AIM_S / max(self._each_s, 1e-9)))
        return max(1, size)
