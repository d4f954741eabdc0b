"""The terminal that a command was started on may close before it ends: what is still said then, nobody hears."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, TextIO

MOST = 256  # descriptors that are looked at


class Terminal:
    """A stderr that does not mind: a run goes on, and ends with its own exit code, whoever has gone."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        # Asked now: when it is gone, nobody can tell that it was one.
        self._devices = {os.fstat(descriptor).st_rdev for descriptor in (0, 1, 2) if os.isatty(descriptor)}

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            if not self.leave_if_gone():
                raise
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            if not self.leave_if_gone():
                raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def leave_if_gone(self) -> bool:
        """Whether it is: then whatever is said on it, by this process or a library, goes nowhere and does not fail."""
        gone = list(self._gone())
        if gone:
            nowhere = os.open(os.devnull, os.O_RDWR)
            for descriptor in gone:
                os.dup2(nowhere, descriptor)
            os.close(nowhere)
        return bool(gone)

    def _gone(self) -> Iterator[int]:
        for descriptor in range(MOST) if self._devices else ():
            with suppress(OSError):  # it is not open
                device = os.fstat(descriptor)
                if stat.S_ISCHR(device.st_mode) and device.st_rdev in self._devices and not os.isatty(descriptor):
                    yield descriptor
