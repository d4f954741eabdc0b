"""The terminal that a command was started on may close before it ends: what is still said then, nobody hears."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress

MOST = 256  # descriptors that are looked at


class Terminal:
    """The terminal of this process, if it has one."""

    def __init__(self) -> None:
        # Asked now: when it is gone, nobody can tell that it was one.
        self._devices = {os.fstat(descriptor).st_rdev for descriptor in (0, 1, 2) if os.isatty(descriptor)}

    def leave_if_gone(self) -> None:
        """What this process or a library says on it from now on goes nowhere, and does not fail."""
        gone = list(self._gone())
        if gone:
            nowhere = os.open(os.devnull, os.O_RDWR)
            for descriptor in gone:
                os.dup2(nowhere, descriptor)
            os.close(nowhere)

    def _gone(self) -> Iterator[int]:
        for descriptor in range(MOST) if self._devices else ():
            with suppress(OSError):  # it is not open
                device = os.fstat(descriptor)
                if stat.S_ISCHR(device.st_mode) and device.st_rdev in self._devices and not os.isatty(descriptor):
                    yield descriptor
