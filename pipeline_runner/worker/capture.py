"""What calls print, taken as whole lines and told with the call that printed them."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TextIO

from pipeline_runner.calls import Ticket
from pipeline_runner.worker.link import Line, Link

position: int | None = None
"""The call that runs now, by its place in the chunk. One a process: a worker runs one call at a time."""

EVERY_S = 0.05  # how long a line may wait: what a dying worker said just before is what people look for
MOST = 256  # lines that wait at most


class _Lines(io.TextIOBase):
    """A stream that keeps whole lines for the runner."""

    def __init__(self, name: str, lines: _Outbox) -> None:
        self._name = name
        self._lines = lines
        self._begun = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *whole, self._begun = (self._begun + text).split("\n")
        for line in whole:
            self._lines.add((position, self._name, line))
        return len(text)

    def finish(self) -> None:
        """End the line that was begun: the next call's text does not belong to it."""
        if self._begun:
            self.write("\n")

    def flush(self) -> None:
        pass

    def fileno(self) -> int:
        # subprocess.run(stdout=sys.stdout) wants a real one.
        return 1 if self._name == "stdout" else 2


class _Outbox:
    def __init__(self) -> None:
        self._waiting: list[Line] = []
        self._sent = monotonic()
        self.link: Link | None = None
        self.ticket: Ticket | None = None

    def add(self, line: Line) -> None:
        self._waiting.append(line)
        if len(self._waiting) >= MOST or monotonic() - self._sent > EVERY_S:
            self.send()

    def send(self) -> None:
        if self._waiting and self.link is not None and self.ticket is not None:
            lines, self._waiting = self._waiting, []
            self.link.said(self.ticket, lines)
        self._sent = monotonic()


_outbox = _Outbox()
_streams: tuple[_Lines, _Lines] | None = None


@contextmanager
def calls(link: Link, ticket: Ticket) -> Iterator[None]:
    """Take what is printed while a chunk runs. In the runner's own process nothing is taken: it has one stdout."""
    global position
    if not link.process:
        yield
        return
    out, err = _install()
    _outbox.link, _outbox.ticket = link, ticket
    try:
        yield
    finally:
        out.finish()
        err.finish()
        position = None
        _outbox.send()


def _install() -> tuple[_Lines, _Lines]:
    """Put our streams in the place of the process's own, once."""
    global _streams
    if _streams is None:
        _streams = (_Lines("stdout", _outbox), _Lines("stderr", _outbox))
    out, err = _streams
    if sys.stdout is not out or sys.stderr is not err:
        sys.stdout, sys.stderr = _as_text(out), _as_text(err)
    return _streams


def _as_text(lines: _Lines) -> TextIO:
    return lines  # type: ignore[return-value]  # it is one in all but name
