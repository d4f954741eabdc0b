"""Who is to blame when workers die: the exit that says why, in words, and the innocents who fell with it."""

from __future__ import annotations

import signal

from pipeline_runner.calls import Cause, Failure
from pipeline_runner.spec.sizes import shown

_OFTEN = {
    signal.SIGKILL: "often: out of memory",
    signal.SIGSEGV: "a crash in compiled code",
    signal.SIGABRT: "a crash in compiled code",
    signal.SIGBUS: "a crash in compiled code",
}


def death(pid: int, exitcode: int | None) -> Failure:
    """A call's worker died under it."""
    return Failure(Cause.LOST, "WorkerDied", f"worker {pid} died ({how(exitcode)})", lineage=("WorkerDied",))


def overdue(pid: int, limit_s: float) -> Failure:
    """A call took longer than its timeout."""
    return Failure(
        Cause.TIMEOUT,
        "Timeout",
        f"still running after {limit_s:g} s; worker {pid} was killed",
        lineage=("Timeout", "TimeoutError"),
    )


def too_large(pid: int, limit_bytes: int, seen_bytes: int) -> Failure:
    """A call's worker held more memory than its stage allows."""
    message = f"held {shown(seen_bytes)}, more than its {shown(limit_bytes)}; worker {pid} was killed"
    return Failure(Cause.MEMORY, "OutOfMemory", message, lineage=("OutOfMemory", "MemoryError"))


def how(exitcode: int | None) -> str:
    """An exit code in words."""
    if exitcode is None:
        return "its exit code is not known"
    if exitcode >= 0:
        return f"exit code {exitcode}"
    try:
        name = signal.Signals(-exitcode)
    except ValueError:
        return f"signal {-exitcode}"
    often = f", {_OFTEN[name]}" if name in _OFTEN else ""
    return f"signal {-exitcode}, {name.name}{often}"


def fell_with_another(exitcode: int | None, another_died: bool) -> bool:
    """Whether this worker was ended by its library because another had died.

    An executor sends SIGTERM to all its workers when one of them dies: the calls that they had are
    innocent and run again without a try being counted.
    """
    return another_died and exitcode == -signal.SIGTERM
