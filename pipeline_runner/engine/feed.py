"""Hands a round's chunks to its method, when there is room for them: the one gate between engine and pool.

The driver's thread (or a thread of the library) waits in here; the engine's main thread opens and
closes. All feeds of a run share one lock, since what one takes makes room for another.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from math import inf
from time import monotonic

from pipeline_runner.calls import Calls, Task, Ticket
from pipeline_runner.classes import dataclass
from pipeline_runner.engine.chunks import Sizes
from pipeline_runner.engine.intake import Intake
from pipeline_runner.worker.perform import pack_payload


@dataclass(frozen=True)
class Owed:
    """Calls that must run again."""

    calls: Calls
    step: int  # of the chain, where they begin
    most: int | None = None  # of them in a chunk
    after: float = 0.0  # not before this moment of the monotonic clock


@dataclass
class Flight:
    """A chunk that is handed in and not accounted for."""

    chunk: int
    calls: Calls
    step: int
    pid: int | None = None  # who has it
    begun_at: float = inf  # when that worker had leave to begin
    reached: int = 0  # the step at which it is now, if that is later than `step`

    @property
    def at(self) -> int:
        return max(self.step, self.reached)


class Feed:
    """The chunks of one course. A round takes its views from `chunks()`."""

    def __init__(
        self,
        intake: Intake,
        sizes: Sizes,
        *,
        lock: threading.Condition,
        window: int,
        workers: int,
        lazy: bool,
        single: bool,
        backlog: Callable[[], int],
        ticket: Callable[[int, int, int], Ticket],
        refuse: Callable[[int, BaseException], None],
        numbers: Iterator[int],
        stir: Callable[[], None] | None = None,
        pack: Callable[[Calls], tuple[Calls, bytes]] = lambda calls: (calls, pack_payload(calls)),
    ) -> None:
        self._intake = intake
        self._sizes = sizes
        self._lock = lock
        self._window = window
        self.workers = workers
        self._lazy = lazy
        self._single = single  # every chunk is one call
        self._backlog = backlog
        self._ticket = ticket  # (chunk, step, size) → its ticket
        self._refuse = refuse  # (chunk, error): it cannot be sent
        self._numbers = numbers
        self._stir = stir or lock.notify_all  # whoever waits for room is woken: at once, or when the turn ends
        self._pack = pack  # calls → the same, with what is large in them elsewhere, and their payload
        self._owed: deque[Owed] = deque()
        self._round = 0
        self._closed = False  # this round hands in no more
        self._holding = 0  # threads that have calls in hand: neither owed nor in flight
        self._drawing = threading.Lock()
        self._drawn_out = False  # the intake has ended
        self._given_up = False
        self.flights: dict[int, Flight] = {}
        self.error: BaseException | None = None  # what the intake raised
        self.total = 0

    @property
    def finished(self) -> bool:
        """Nothing is owed, in hand, in flight, or to come."""
        with self._lock:
            return self._drawn_out and not (self._owed or self._holding or self.flights)

    @property
    def round(self) -> int:
        """The number of the round that may hand in."""
        return self._round

    @property
    def drawn_out(self) -> bool:
        """Nothing new will come."""
        return self._drawn_out

    @property
    def spare(self) -> bool:
        """Whether there is, or surely will be, more to hand in than is in flight: not while its source has to bring
        something first."""
        return not self._drawn_out and (bool(self._owed) or not self._intake.dry)

    @property
    def idle(self) -> bool:
        """Whether a worker surely has nothing to do. Of a method that wants all its input first, none has anything."""
        return self._lazy and len(self.flights) < self.workers

    def again(self, owed: Owed) -> None:
        """These calls are to run again, before any that are new; unless the stage has been given up."""
        with self._lock:
            if not self._given_up:
                self._owed.append(owed)
            self._lock.notify_all()

    def landed(self, chunk: int) -> Flight | None:
        """The chunk is accounted for. None: it was before."""
        with self._lock:
            self._stir()
            return self.flights.pop(chunk, None)

    def wake(self, new: int) -> None:
        """Wake as many of those who wait in here as there is something for: what is owed, and so much that is new."""
        with self._lock:
            self._lock.notify(len(self._owed) + new)

    def open(self) -> None:
        """A new round begins."""
        with self._lock:
            self._round += 1
            self._closed = False

    def close(self) -> None:
        """Hand in no more in this round; whoever waits in here is let go."""
        with self._lock:
            self._closed = True
            self._lock.notify_all()

    def give_up(self) -> None:
        """Forget what is owed and to come: the stage is over."""
        with self._lock:
            self._owed.clear()
            self._given_up = True
            self._drawn_out = True
            self._closed = True
            self._lock.notify_all()
        self._intake.leave()

    def anything(self) -> bool:
        """Wait until there is a call to make, or surely none. Asked by the thread that draws, before it does."""
        while True:
            with self._lock:
                if self._closed or self.error is not None or self._drawn_out:
                    return bool(self._owed)
                if self._owed:
                    return True
            arrivals = self._intake.arrivals
            with self._in_hand():
                calls = self._draw(1)
                if calls:
                    self.again(Owed(calls, 0))
            if calls is not None and not calls:
                self._await(arrivals, None)

    def next(self, of_round: int | None = None) -> Task | None:
        """The next chunk, when there is room for it; None at the end of the round.

        `of_round` is the asker's: a library's thread may still ask for a round that is over, and what
        it was given would be lost with that round's pool.
        """
        current = self._round if of_round is None else of_round
        while True:
            with self._lock:
                if self._closed or self.error is not None or current != self._round:
                    return None
                owed, wait_s = self._due()
                arrivals = self._intake.arrivals
                draw = owed is None and not self._drawn_out and self._room()
                if owed is None and not draw:
                    if self._over():
                        return None
                    self._lock.wait(wait_s)
                    continue
                self._holding += 1
            task, waits = self._take(owed, current)
            if task is not None:
                return task
            if waits:
                self._await(arrivals, wait_s)

    def _take(self, owed: tuple[Calls, int] | None, of_round: int) -> tuple[Task | None, bool]:
        """Hand in what is owed, or new calls; and whether none have come yet. They were in hand, and no longer are."""
        try:
            if owed is None:
                calls = self._draw(1 if self._single else self._sizes.next(self._intake.size))
                if not calls:
                    return None, calls is not None
                owed = (calls, 0)
            return self._hand_in(*owed, of_round), False
        finally:
            with self._lock:
                self._holding -= 1

    @contextmanager
    def _in_hand(self) -> Iterator[None]:
        with self._lock:
            self._holding += 1
        try:
            yield
        finally:
            with self._lock:
                self._holding -= 1
                self._lock.notify_all()

    def everything(self, of_round: int | None = None) -> list[Task]:
        """All that there is, at once, for a method that wants its whole input before it starts."""
        with self._in_hand():
            return self._everything(self._round if of_round is None else of_round)

    def _everything(self, of_round: int) -> list[Task]:
        owed = self._all_due()
        while not (self._drawn_out or self._closed or self.error is not None):
            arrivals = self._intake.arrivals
            calls = self._draw(1 << 16)
            if calls:
                owed.append(Owed(calls, 0))
            elif calls is not None:
                self._await(arrivals, None)
        return [task for piece in self._shared_out(owed) if (task := self._hand_in(*piece, of_round)) is not None]

    def _shared_out(self, owed: Sequence[Owed]) -> Iterator[tuple[Calls, int]]:
        """All of it in chunks, with the step where each begins."""
        total = left = sum(len(one.calls) for one in owed)
        for calls, step, most in ((one.calls, one.step, one.most) for one in owed):
            at = 0
            while at < len(calls):
                size = 1 if self._single else most or self._sizes.whole(total, left)
                piece = calls.cut(at, at + size)
                yield piece, step
                at += len(piece)
                left -= len(piece)

    def _room(self) -> bool:
        return len(self.flights) < self._sizes.window(self._window) and self._backlog() < self._window

    def _over(self) -> bool:
        # A lazy round waits for its last flights: their rests and retries can still go along.
        return self._drawn_out and not self._owed and not (self.flights and self._lazy)

    def _await(self, arrivals: int, wait_s: float | None) -> None:
        """Wait for the source to bring something, unless it has since we looked."""
        with self._lock:
            if self._intake.arrivals == arrivals and not self._closed:
                self._lock.wait(wait_s)

    def _due(self) -> tuple[tuple[Calls, int] | None, float | None]:
        """Owed calls that may run now; else how long until some may."""
        if not self._owed:
            return None, None
        now = monotonic()
        soonest = min(self._owed, key=lambda owed: owed.after)
        if soonest.after > now:
            return None, soonest.after - now
        self._owed.remove(soonest)
        most = 1 if self._single else soonest.most or self._sizes.next(len(soonest.calls))
        if len(soonest.calls) > most:
            rest = soonest.calls.cut(most, len(soonest.calls))
            self._owed.appendleft(Owed(rest, soonest.step, soonest.most, soonest.after))
        return (soonest.calls.cut(0, most), soonest.step), None

    def _all_due(self) -> list[Owed]:
        """All owed calls that may run now, waiting for the first that may when there is nothing else to do."""
        with self._lock:
            while not self._closed and self._owed and self._drawn_out:
                wait_s = min(owed.after for owed in self._owed) - monotonic()
                if wait_s <= 0:
                    break
                self._lock.wait(wait_s)
            now = monotonic()
            due = [owed for owed in self._owed if owed.after <= now]
            self._owed = deque(owed for owed in self._owed if owed.after > now)
        return due

    def _draw(self, size: int) -> Calls | None:
        """New calls from the intake; none when there are none yet; None at its end, or when it raised.

        Not under the lock: a user's generator may take its time. One thread at a time draws: that of
        a round which is over may still be at it when the next begins.
        """
        try:
            with self._drawing:
                calls = None if self._drawn_out else self._intake.draw(size)
        except BaseException as error:  # a user's source may raise anything: it ends the stage, not the thread
            self.error = error
            self._intake.leave()
            return None
        if calls is None:
            # A zip that stops at its shortest column leaves values in the others.
            self._intake.leave()
            with self._lock:
                self._drawn_out = True
                self.total = self._intake.total
        return calls

    def _hand_in(self, calls: Calls, step: int, of_round: int) -> Task | None:
        """Number the chunk and pack it. None: it cannot be sent, and those whom it concerns have been told; or the
        round is over, and the calls are owed to the next."""
        with self._lock:
            if self._closed or of_round != self._round:
                self.again(Owed(calls, step))
                return None
            chunk = next(self._numbers)
            flight = self.flights[chunk] = Flight(chunk, calls, step)
        try:
            flight.calls, payload = self._pack(calls)
        except BaseException as error:  # an item's own __reduce__ may raise anything
            self._unsendable(chunk, calls, step, error)
            return None
        if not calls.relayed:  # the bytes of values that were made together go whole with each part of them
            self._sizes.weigh(len(calls), len(payload) + flight.calls.large_bytes)
        return self._ticket(chunk, step, len(calls)), payload

    def _unsendable(self, chunk: int, calls: Calls, step: int, error: BaseException) -> None:
        if len(calls) == 1:
            self._refuse(chunk, error)
            return
        with self._in_hand():  # at its end all are woken, while no turn may end
            # One of them cannot be sent: one by one, the others can.
            self.again(Owed(calls, step, most=1))
            self.landed(chunk)


class RoundChunks:
    """One round's view of a feed, in the shapes that methods ask for (calls.Chunks)."""

    def __init__(self, feed: Feed, lazy: bool) -> None:
        self._feed = feed
        self._lazy = lazy
        self._round = feed.round
        self.workers = feed.workers

    def __iter__(self) -> Iterator[Task]:
        if not self._lazy:
            yield from self._feed.everything(self._round)
            return
        while (task := self._feed.next(self._round)) is not None:
            yield task

    def rows(self) -> Iterator[Task]:
        return iter(self)

    def columns(self) -> tuple[Iterable[Ticket], Iterable[bytes]]:
        """Two columns that are drawn from side by side, as zip draws them."""
        if not self._lazy:
            tasks = self._feed.everything(self._round)
            return [ticket for ticket, _ in tasks], [payload for _, payload in tasks]
        payloads: deque[bytes] = deque()
        return self._tickets(payloads), _drain(payloads)

    def _tickets(self, payloads: deque[bytes]) -> Iterator[Ticket]:
        for ticket, payload in self:
            payloads.append(payload)
            yield ticket


def _drain(payloads: deque[bytes]) -> Iterator[bytes]:
    """The second column: what the first one, drawn just before, has left here."""
    while payloads:
        yield payloads.popleft()
