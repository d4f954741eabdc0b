"""How many calls travel together: enough to drown the cost of a message, few enough to end together."""

from __future__ import annotations

AIM_S = 0.03  # of work in a chunk of few calls
QUICK_AIM_S = 0.1  # of work in a chunk of many: it costs 1 ms of CPU, of 30 ms that is 3 %
FEW = 3  # calls in a chunk; of so many times as many that many times as long a chunk is right
LEAST_S = 0.002  # of work in one of the last chunks, which are the smallest
BUDGET = 5 / 3  # of what was aimed at, after which a worker hands the rest back: a wrong guess costs a resend, not a
# wait, and who is killed loses no more than this. Of a method that takes all its input at once the rest waits for the
# next round.
PIECES = 2.5  # for each worker: what is left is shared out in so many
GROWTH = 1 << 12  # at most so many times the largest size that was seen to last
SURE = 8  # a size is settled when one that was so many times smaller has been seen to last
MOST = 1 << 16  # calls
MOST_BYTES = 1 << 18  # of what a chunk brings or takes away: more is no cheaper a byte, and several are in flight
MEMORY = 0.7  # of what was known is kept with each chunk that is learnt of: calls may grow longer or shorter
BLIND = 32  # calls of a first chunk whose time is known from an earlier run: what they bring and give is not
BEFORE = 4  # calls that an earlier run counts for
DUST = 8  # times as small as without knowing anything: smaller are no chunks that go by an earlier run
AHEAD = 2  # chunks of large values a worker that are in flight: one at work and one waiting; more only take memory


class Sizes:
    """The size of a stage's next chunk, from the measured time of the calls before it."""

    def __init__(self, workers: int, fixed: int | None, each_s: float | None = None, price: int = 1) -> None:
        """`each_s`: how long a call took in an earlier run; what is seen soon counts for more. `price`: of a chunk, in
        messages: where each has a process of its own, the start of one."""
        self._workers = workers
        self._fixed = fixed
        self._price = price
        self._seen = (0.0, 0.0)  # calls lately, and how long they took: one value, since drivers read it meanwhile
        self._each_bytes = 0.0  # of a call's arguments, or of its value
        self._largest = 1
        self._blind = bool(each_s)
        if each_s:
            self._seen = (BEFORE, BEFORE * each_s)

    @property
    def known(self) -> bool:
        """Whether there is anything to go by."""
        return bool(self._fixed or self._seen[0])

    @property
    def settled(self) -> bool:
        """Whether a chunk is as large as it should be. Until then a few show the way, and more would only be more."""
        return bool(self._fixed) or (self.known and self._largest * SURE >= self._meant())

    def window(self, window: int) -> int:
        """How many chunks may be in flight, of so many."""
        if not self.settled:
            return min(window, self._workers + self.known)
        return min(window, AHEAD * self._workers) if self._each_bytes >= MOST_BYTES else window

    @property
    def budget_s(self) -> float:
        """How long a chunk may take before it hands back its rest; 0 where the user chose the size."""
        return 0.0 if self._fixed else BUDGET * self._aim_s

    def learn(self, calls: int, took_s: float) -> None:
        """A chunk of so many calls took so long."""
        if not calls:
            return
        self._blind = False
        # Not a mean of means: where some calls are a thousand times as long as others, a chunk of one says little.
        self._seen = MEMORY * self._seen[0] + calls, MEMORY * self._seen[1] + took_s
        self._largest = max(self._largest, calls)

    def weigh(self, calls: int, size_bytes: int) -> None:
        """So many calls were given, or gave, so much."""
        self._each_bytes = max(MEMORY * self._each_bytes, size_bytes / calls)

    def next(self, left: int | None) -> int:
        """How many calls the next chunk should have, when so many are left (None: nobody knows)."""
        if self._fixed:
            return self._fixed
        if not self.known:
            return 1
        size = min(self._meant(), BLIND if self._blind else self._largest * GROWTH)
        return max(1, size if left is None else min(size, self._share(left)))

    def _share(self, left: int) -> int:
        """Guided: what is left is shared out in ever smaller pieces, so that workers end together. They need not be
        smaller than what is worth a message; but one of calls that we know little of is no larger than what we know."""
        least = min(self._lasting(self._price * LEAST_S), int(self._seen[0]))
        return max(int(left / (PIECES * self._workers)), min(left, least))

    def _lasting(self, s: float) -> int:
        """So many calls take so long."""
        calls, took_s = self._seen
        return int(s * calls / max(took_s, 1e-9))

    @property
    def _aim_s(self) -> float:
        """How long a chunk should take. What a killed worker has done of it is done again: that should be either little
        time or few calls."""
        calls, took_s = self._seen
        many = AIM_S * calls / max(took_s, 1e-9) / FEW  # times as many calls as are few
        return max(self._price * AIM_S, min(many * AIM_S, QUICK_AIM_S))

    def _meant(self) -> int:
        return min(self._lasting(self._aim_s), self._most())

    def _most(self) -> int:
        return min(MOST, int(MOST_BYTES / max(self._each_bytes, 1)))

    def whole(self, calls: int, left: int) -> int:
        """The size for a method that wants all its calls at once, of which so many are left: four chunks a worker, as
        Pool.map has it; where their time is known, guided as others are."""
        if self._fixed:
            return self._fixed
        unknown = min(-(-calls // (4 * self._workers)), self._most())
        if not self.known:
            return max(1, unknown)
        size = min(self._meant(), self._share(left))
        # All of it is dispatched before it is seen whether calls take as long as they did: it must not fall to dust.
        return max(1, size, unknown // DUST if self._blind else 1)
