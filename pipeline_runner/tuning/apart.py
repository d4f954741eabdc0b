"""Runs a piece of work in a process of its own, weighs it with all that it starts, and ends it whatever it does.

It is forked, from a process without threads that has loaded everything: nothing of one trial (a warm pool, an
imported module, a cache of the user's) is there in the next one, and starting it costs no more than a fork.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from time import monotonic
from typing import Any

from pipeline_runner.worker.limits import C, below, kill_tree, take_in_orphans

EVERY_S = 0.2  # between two looks at its memory: one look at a pool costs some 3 ms
LEAVE_S = 5.0  # for the last helpers to end by themselves
PR_SET_PDEATHSIG = 1
_TICKS = os.sysconf("SC_CLK_TCK")

Weigh = Callable[[], None]  # called by the work when its memory is to be looked at
Work = Callable[[Weigh], Any]


class Ended(Exception):
    """The work gave nothing. Its text says why, as a clause."""


class TooSlow(Ended):
    def __init__(self, after_s: float) -> None:
        super().__init__(f"stopped after {after_s:.0f} s")


class Died(Ended):
    def __init__(self, exitcode: int | None) -> None:
        how = f"signal {-exitcode}" if exitcode is not None and exitcode < 0 else f"exit code {exitcode}"
        super().__init__(f"its process died ({how})")


@dataclass(frozen=True)
class Heard:
    """What the work gave, and the most memory that it was seen to hold; None: this system does not tell it."""

    value: Any
    peak_bytes: int | None


def apart(work: Work, most_s: float | None = None) -> Heard:
    """Run it in a child, to its end or for `most_s` seconds. Errors: Ended."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=_run, args=(work, theirs))
    child.start()
    theirs.close()
    try:
        return _heard(ours, child, most_s)
    finally:
        ours.close()
        child.join(LEAVE_S if sys.exc_info()[0] is None else 0)
        if child.pid is not None and child.is_alive():
            kill_tree(child.pid)
        child.join()
        child.close()


def _heard(ours: Connection, child: Any, most_s: float | None) -> Heard:
    deadline = None if most_s is None else monotonic() + most_s
    peak: int | None = None
    while True:
        asked = ours.poll(EVERY_S)
        with suppress(OSError):
            now = pss_bytes(child.pid)
            peak = now if peak is None else max(peak, now)
        if asked:
            try:
                kind, value = ours.recv()
            except EOFError:
                child.join()
                raise Died(child.exitcode) from None
            if kind == "gave":
                return Heard(value, peak)
            if kind == "raised":
                raise Ended(value)
            ours.send(None)  # it was weighed
        elif most_s is not None and deadline is not None and monotonic() > deadline:
            raise TooSlow(most_s)


def _run(work: Work, theirs: Connection) -> None:
    """In the child."""
    if sys.platform == "linux":
        C.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    take_in_orphans()
    _hush()

    def weigh() -> None:
        theirs.send(("weigh", None))
        theirs.recv()

    try:
        told = "gave", work(weigh)
    except Exception as error:  # a library's, a user's: it is what there is to tell of this trial
        told = "raised", f"{type(error).__name__}: {error}".splitlines()[0]
    theirs.send(told)


def _hush() -> None:
    """What calls in this process print is not what was asked for."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
    # Not the command's own streams, which hold what it has not yet written.
    sys.stdout = open(1, "w", encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115


def pss_bytes(pid: int) -> int:
    """Memory of a process and its descendants, what several share counted once. Errors: OSError."""
    total = _pss(pid)
    for one in below(pid):
        with suppress(OSError):
            total += _pss(one)
    return total


def _pss(pid: int) -> int:
    with open(f"/proc/{pid}/smaps_rollup", "rb") as told:
        return next((1024 * int(line.split()[1]) for line in told if line.startswith(b"Pss:")), 0)


def cpu_s() -> float:
    """Seconds of processor that this process and its descendants have used, those that have ended included."""
    mine = os.times()
    return sum(mine[:4]) + sum(_spent_s(pid) for pid in below(os.getpid()))


def _spent_s(pid: int) -> float:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            fields = stat.read().rpartition(b") ")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / _TICKS  # its own, in user and system, and of its children that have ended
