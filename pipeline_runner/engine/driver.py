"""A thread a round: leases a pool, asks the method, reads its receipts. It decides nothing and only tells."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pipeline_runner.calls import Perform, Receipt
from pipeline_runner.engine.course import Course
from pipeline_runner.engine.feed import RoundChunks
from pipeline_runner.engine.messages import Message, PoolOpened, RoundOver
from pipeline_runner.engine.pools import Lease, Pools
from pipeline_runner.methods import PoolSettings
from pipeline_runner.worker.perform import PERFORM


def start_round(course: Course, pools: Pools, settings: PoolSettings, tell: Callable[[Message], None]) -> None:
    """Begin the course's next round in a thread of its own."""
    threading.Thread(
        target=_drive,
        args=(course, course.round, pools, settings, tell),
        name=f"prun-{course.head.spec.name}-{course.round}",
        daemon=True,  # a library that never gives up must not keep the runner from leaving
    ).start()


def _drive(course: Course, number: int, pools: Pools, settings: PoolSettings, tell: Callable[[Message], None]) -> None:
    try:
        # A stage whose every call was kept from an earlier run needs no pool at all.
        if course.reuses and not course.feed.anything():
            tell(RoundOver(course.number, number, None))
            return
        lease = pools.lease(course.head.choice.backend, settings)
        course.lease = lease
        tell(PoolOpened(course.number, number, lease.number))
        _ask(course, lease, tell)
    except BaseException as error:  # a library may raise anything, BrokenProcessPool and SystemExit included
        tell(RoundOver(course.number, number, error))
    else:
        tell(RoundOver(course.number, number, None))


def _ask(course: Course, lease: Lease, tell: Callable[[Message], None]) -> None:
    """Ask the method for all that the round brings, side by side where one asker could not keep its workers busy.

    Errors: what the first asker met that met anything.
    """
    met: list[BaseException] = []

    def open_letter(receipt: Receipt) -> None:
        from pipeline_runner.engine import letters  # only clusters write them

        for message in letters.read(receipt):
            tell(message)

    if lease.backend.brief is not None:
        lease.backend.brief(lease.pool, course.brief, open_letter)
    perform = PERFORM if lease.backend.local else _from_afar()

    def ask() -> None:
        method = course.head.choice.method
        try:
            for _ in method.ask(lease.pool, perform, RoundChunks(course.feed, method.lazy)):
                pass
        except BaseException as error:
            met.append(error)

    others = [threading.Thread(target=ask, name=f"prun-asks-{n}", daemon=True) for n in range(1, course.askers)]
    for other in others:
        other.start()
    ask()
    for other in others:
        other.join()
    if met:
        raise met[0]


def _from_afar() -> Perform:
    """What a cluster is given. Imported only here: most runs have none."""
    from pipeline_runner.engine.deputy import PERFORM

    return PERFORM
