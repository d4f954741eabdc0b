"""What calls print, taken as whole lines and told with the call that printed them."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, TextIO

from pipeline_runner.calls import Ticket
from pipeline_runner.worker.link import Line, Link

position: int | None = None
"""The call that runs now, by its place in the chunk. One a process: a worker runs one call at a time."""

EVERY_S = 0.05  # how long a line may wait: what a dying worker said just before is what people look for
MOST = 256  # lines that wait at most


class _Lines(io.RawIOBase):
    """A stream of bytes that keeps whole lines for the runner."""

    def __init__(self, name: str, lines: _Outbox) -> None:
        self._name = name
        self._lines = lines
        self._begun = b""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        *whole, self._begun = (self._begun + bytes(data)).split(b"\n")
        for line in whole:
            self._lines.add((position, self._name, line.decode(errors="replace")))
        return len(data)

    def finish(self) -> None:
        """End the line that was begun: the next call's text does not belong to it."""
        if self._begun:
            self.write(b"\n")

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
_texts: tuple[TextIO, TextIO] | None = None  # the same two, as Python's own stdout and stderr are


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


def send() -> None:
    """Tell now what was said so far: what comes next belongs to another step."""
    if _streams is not None:
        for stream in _streams:
            stream.finish()
        _outbox.send()


def _install() -> tuple[_Lines, _Lines]:
    """Put our streams in the place of the process's own, once."""
    global _streams, _texts
    if _streams is None or _texts is None:
        _streams = (_Lines("stdout", _outbox), _Lines("stderr", _outbox))
        _texts = (_as_text(_streams[0]), _as_text(_streams[1]))
    sys.stdout, sys.stderr = _texts
    return _streams


def _as_text(lines: _Lines) -> TextIO:
    """With all that people use of sys.stdout: buffer, encoding, reconfigure."""
    return io.TextIOWrapper(lines, encoding="utf-8", errors="backslashreplace", write_through=True)  # type: ignore[type-var]
