"""`multiprocessing.Process`: a process a chunk; in batches as the survey has it, and refilled as it also can."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from pipeline_runner.axes import Dispatch, Returns, Style
from pipeline_runner.backends._launch import GRACE_S, PoolKilled, Roster, WorkerVanished, brand_for, context
from pipeline_runner.calls import Chunks, Perform, Receipt, Task
from pipeline_runner.classes import dataclass
from pipeline_runner.methods import Backend, Method, PoolSettings, Process, Surveyed
from pipeline_runner.typed import Any
from pipeline_runner.worker.brand import Brand
from pipeline_runner.worker.start import run_one

PRICE = 10  # a process that is started, imports and ends: 5–20 ms


@dataclass(frozen=True)
class Processes:
    """No pool at all: the number of processes that may run at once, and how they are made."""

    workers: int
    context: Any
    roster: Roster
    brand: Brand | None = None


@dataclass(frozen=True)
class Running:
    """One process and the end of the pipe that its receipt comes through."""

    process: Any
    reply: Any

    def receipt(self) -> Receipt:
        """Wait for the process and read what it sent. Errors: WorkerVanished when it sent nothing."""
        self.process.join()
        try:
            # What it sent is in the pipe now. Not recv at once: under fork a sibling may hold the other end
            # open, and then a dead process's silence has no end.
            if not self.reply.poll():
                raise WorkerVanished(self.process.pid, self.process.exitcode)
            receipt: Receipt = self.reply.recv()
        except EOFError as error:
            raise WorkerVanished(self.process.pid, self.process.exitcode) from error
        finally:
            self.reply.close()
        return receipt


def open_processes(settings: PoolSettings) -> Processes:
    roster = Roster()
    made = context("multiprocessing", settings.start_method, roster)
    return Processes(settings.workers, made, roster, brand_for(settings.start_method))


def raw(workers: int) -> Processes:
    from multiprocessing import get_context

    return Processes(workers, get_context(), Roster())


def start(pool: Processes, perform: Perform, task: Task) -> Running:
    if pool.roster.doomed:
        raise PoolKilled
    reply, sender = pool.context.Pipe(duplex=False)
    process = pool.context.Process(target=run_one, args=(perform.row, *task, sender, pool.brand))
    process.start()
    sender.close()
    return Running(process, reply)


def batch(pool: Processes, perform: Perform, chunks: Chunks) -> Iterator[Receipt]:
    """Start as many as there are workers, join all of them, start the next batch.

    A process that dies does not keep its batch from ending; it is told when the batch has.
    """
    tasks = iter(chunks)
    while running := [start(pool, perform, task) for task in islice(tasks, pool.workers)]:
        vanished: WorkerVanished | None = None
        for one in running:
            try:
                yield one.receipt()
            except WorkerVanished as error:
                vanished = error
        if vanished:
            raise vanished


def refill(pool: Processes, perform: Perform, chunks: Chunks) -> Iterator[Receipt]:
    """Start the next as soon as any has ended."""
    from multiprocessing.connection import wait

    tasks = iter(chunks)
    running: dict[Any, Running] = {}
    vanished: WorkerVanished | None = None
    while True:
        room = 0 if vanished else pool.workers - len(running)
        for task in islice(tasks, room):
            one = start(pool, perform, task)
            running[one.process.sentinel] = one
        if not running:
            break
        # Under fork a sibling may hold a sentinel open too, so those that are silent are asked now and then.
        ended = wait(list(running), timeout=0.1) or [
            s for s, one in running.items() if one.process.exitcode is not None
        ]
        for sentinel in ended:
            try:
                yield running.pop(sentinel).receipt()
            except WorkerVanished as error:
                vanished = error
    if vanished:
        raise vanished


def close(pool: Processes) -> None:
    if not pool.roster.reaped(GRACE_S):
        kill(pool)


def kill(pool: Processes) -> None:
    pool.roster.kill()
    pool.roster.reaped(2.0)


def processes(pool: Processes) -> Sequence[Process]:
    return pool.roster.processes()


BACKEND = Backend(
    name="multiprocessing.Process",
    keyword="process",
    methods=(
        Method(
            name="multiprocessing.Process",
            dispatch=Dispatch.BATCH,
            style=Style.SINGLE,
            also_styles=frozenset({Style.MAP}),  # the library has no map: an item as it is, one call each
            returns=Returns.NONE,
            ask=batch,
            lazy=True,
            ordered=True,
            parallel=True,
            refills=False,
            serializer="pickle",
            price=PRICE,
            on_raise="exit code 1, traceback on stderr",
            on_death="visible: its exit code is minus the signal",
            surveyed=Surveyed(dispatch=Dispatch.BATCH, style=Style.SINGLE, returns=Returns.NONE),
            also_returns=frozenset({Returns.LIST, Returns.APPLY_RESULT}),
            aliases=("Process", "multiprocessing.Process.start", "multiprocessing.process.Process"),
            note="a batch only because all of it is joined before the next; a process for every chunk is dear",
        ),
        Method(
            name="multiprocessing.Process.refill",
            dispatch=Dispatch.ASYNC,
            style=Style.SINGLE,
            also_styles=frozenset({Style.MAP}),  # the library has no map: an item as it is, one call each
            returns=Returns.NONE,
            ask=refill,
            lazy=True,
            ordered=False,
            parallel=True,
            refills=True,
            serializer="pickle",
            price=PRICE,
            on_raise="exit code 1, traceback on stderr",
            on_death="visible: its exit code is minus the signal",
            also_returns=frozenset({Returns.LIST, Returns.APPLY_RESULT, Returns.UNORDERED}),
            note="not in the survey: waiting on sentinels lets the next process start when any has ended",
        ),
    ),
    open=open_processes,
    close=close,
    kill=kill,
    processes=processes,
    raw=raw,
    library="multiprocessing",
    rank=50,
)
