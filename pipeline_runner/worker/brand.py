"""The brand that a worker and all that it ever starts carry, so that they are found wherever they hide.

It is a number in the soft limit RLIMIT_LOCKS, which Linux has not enforced since 2.4.25, and which fork, exec,
a session of its own and an empty environment all hand down. Nothing else of a process does that: groups,
sessions and parents change, and open files and the environment are closed and cleared by whoever starts it.
"""

from __future__ import annotations

import os
import resource
import sys
from contextlib import suppress
from random import SystemRandom

from pipeline_runner.classes import dataclass
from pipeline_runner.worker import limits

_LOCKS = 10  # RLIMIT_LOCKS of linux/resource.h, which Python does not name
KNOWN = sys.platform == "linux"


@dataclass(frozen=True)
class Brand:
    """Of the workers of one runner."""

    runner: int
    number: int


def new() -> Brand:
    """A brand for the workers of this process, unlike any other."""
    return Brand(os.getpid(), 1 << 61 | SystemRandom().getrandbits(61))


def carry(brand: Brand) -> None:
    """Brand this process, a child of its runner. It ends where the runner has: nobody would look for it any more."""
    _burn(brand.number)
    if os.getppid() != brand.runner:
        os._exit(1)


def wash_off() -> None:
    """Carry none. Who watches over branded processes may be below one itself."""
    _burn(resource.getrlimit(_LOCKS)[1])


def bearers(brand: Brand) -> set[int]:
    """Every living process that carries it, in whatever session, group or environment."""
    pids = {int(entry) for entry in os.listdir("/proc") if entry.isdigit()}
    return {pid for pid in pids if _number(pid) == brand.number and not limits.is_corpse(pid)}


def _number(pid: int) -> int:
    """Of another user's process, which we could not end either: -1."""
    with suppress(OSError):
        return resource.prlimit(pid, _LOCKS)[0]
    return -1


def _burn(number: int) -> None:
    with suppress(ValueError, OSError):  # somebody keeps the hard limit below it: such a worker is not found
        resource.setrlimit(_LOCKS, (number, resource.getrlimit(_LOCKS)[1]))
