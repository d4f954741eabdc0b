"""A small process beside a runner: when the runner is gone, it ends all that carries its brand, and then itself.

It is for workers that are no fork server's. One of them that is stuck in compiled code, holding Python's lock, cannot
notice that the runner was killed, and what a dead one has left in a session of its own is below nobody.
"""

from __future__ import annotations

import os
import select
import sys
from contextlib import suppress
from time import sleep

from pipeline_runner.worker import brand, limits

LOOK_S = 0.1  # where the kernel cannot tell that another process has ended


def main() -> None:
    """`warden.main()` with two arguments: the pid of the runner, which is the parent, and the number of the brand."""
    its = brand.Brand(*map(int, sys.argv[1:]))
    brand.wash_off()
    _wait_for_end(its.runner)
    limits.end_all(lambda: brand.bearers(its))


def _wait_for_end(runner: int) -> None:
    """Not by a pipe: forked workers would hold its other end open."""
    with suppress(OSError):  # it is gone, or the kernel is older than 5.3
        pidfd = os.pidfd_open(runner)
        if os.getppid() == runner:  # else the number may be another's already
            select.select([pidfd], [], [])
    while os.getppid() == runner:
        sleep(LOOK_S)
