"""What calls write, kept in two files that outlive their worker, and marks that say which call wrote how far.

A worker's descriptors 1 and 2 are files in memory, and so are its children's, which inherit them. The
runner holds them too: it reads what was written while a call still runs, and what a dead worker left
(engine/overheard.py). A file never makes a writer wait, so a flood slows nobody, and code that writes
while it holds Python's lock cannot stop for ever. The worker looks after each call how long the files
have become; that is all that a call which writes nothing costs.
"""

from __future__ import annotations

import ctypes
import fcntl
import io
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import inf
from time import monotonic, perf_counter

from pipeline_runner.calls import Ticket
from pipeline_runner.typed import Any, TextIO
from pipeline_runner.worker import surroundings
from pipeline_runner.worker.limits import C

Mark = tuple[int | None, int, int]  # position in the chunk, or None; where its text ends in either file

EVERY_S = 0.05  # how long marks may wait
AHEAD = 1 << 18  # bytes that may be written without a mark: so much a reader must take for one call's
LONGEST = 1 << 13  # characters of a line that is not ended which are held back

quick_s = inf
"""Less than any call into the kernel takes here: a call that was faster has written nothing."""


class Lines(io.TextIOBase):
    """A text stream that writes whole lines at once, so that threads and children do not tear them."""

    encoding = "utf-8"
    errors = "backslashreplace"
    newlines = None
    mode = "w"

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor = descriptor
        self._begun = threading.local()
        self.name = f"<{name}>"
        self.buffer = open(descriptor, "wb", buffering=0, closefd=False)  # noqa: SIM115 - as long as the process

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, text: str) -> int:
        whole, newline, begun = (getattr(self._begun, "text", "") + text).rpartition("\n")
        if len(begun) > LONGEST:
            whole, newline, begun = whole + newline + begun, "", ""
        self._begun.text = begun
        if begun:
            surroundings.touched = True
        if whole or newline:
            self._put(whole + newline)
        return len(text)

    def flush(self) -> None:
        begun, self._begun.text = getattr(self._begun, "text", ""), ""
        if begun:
            self._put(begun)

    def reconfigure(self, **_: Any) -> None:
        """Nothing here can be had otherwise; scripts that set their stdout to UTF-8 have it already."""

    def _put(self, text: str) -> None:
        data = memoryview(text.encode(self.encoding, self.errors))
        while data:
            data = data[os.write(self._descriptor, data) :]


class _Taken:
    """The two files of this process, and what is still to be told of them."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.files = (_file("prun-stdout"), _file("prun-stderr"))
        for descriptor, file, usual in ((1, self.files[0], sys.stdout), (2, self.files[1], sys.stderr)):
            _write_through(usual, descriptor)
            os.dup2(file, descriptor)
        self.streams = (Lines(1, "stdout"), Lines(2, "stderr"))
        self.ends = (0, 0)
        self.marks: list[Mark] = []
        self.told = monotonic()
        self.unmarked_from = 0

    def install(self) -> None:
        """Put our streams in the place of the process's own. A call may have put others there."""
        out, err = self.streams
        if sys.stdout is not out or sys.stderr is not err:
            sys.stdout, sys.stderr = _as_text(out), _as_text(err)


_taken: _Taken | None = None
_buffers = tuple(ctypes.create_string_buffer(LONGEST) for _ in range(2))  # of C's streams, as long as the process


def take() -> tuple[int, int] | None:
    """Take this process's stdout and stderr, once. Gives the two files; None where there is no room for them."""
    global _taken, quick_s
    if _taken is None or _taken.pid != os.getpid():
        try:
            _taken = _Taken()
        except OSError:  # too few descriptors: what is written goes where it always went
            return None
        quick_s = min(_look(_taken.files[0]) for _ in range(20))
        with suppress(AttributeError, ValueError):  # another C library calls them otherwise
            for name, buffer in zip(("stdout", "stderr"), _buffers, strict=True):
                # By lines: nothing is lost in a crash. With a buffer of ours: without one, glibc writes a line's
                # first letter, its rest and its end apart, and a child's line comes between (76 of 480,000).
                C.setvbuf(ctypes.c_void_p.in_dll(C, name), buffer, 1, len(buffer))
    return _taken.files


@contextmanager
def calls(link: Any, ticket: Ticket) -> Iterator[None]:
    """Mark what is written while a chunk runs. In the runner's own process nothing is taken: it has one stdout."""
    if not link.process or _taken is None:
        yield
        return
    _taken.install()
    try:
        yield
    finally:
        C.fflush(None)
        ended(None)
        tell(link, ticket)


def ended(position: int | None) -> None:
    """A call has ended: what was written since the one before is its own."""
    if _taken is None:
        return
    if surroundings.touched:
        for stream in _taken.streams:  # a line that was begun ends with its call
            stream.flush()
    out, err = _taken.files
    ends = (os.lseek(out, 0, os.SEEK_END), os.lseek(err, 0, os.SEEK_END))
    if ends != _taken.ends:
        _taken.ends = ends
        _taken.marks.append((position, *ends))


def silent() -> bool:
    """Whether nothing was written since the last call that wrote something."""
    if _taken is None:
        return True
    out, err = _taken.files
    return (os.lseek(out, 0, os.SEEK_END), os.lseek(err, 0, os.SEEK_END)) == _taken.ends


def due() -> bool:
    """Whether marks should be told before the chunk ends."""
    if _taken is None or not _taken.marks:
        return False
    return sum(_taken.ends) - _taken.unmarked_from > AHEAD or monotonic() - _taken.told > EVERY_S


def tell(link: Any, ticket: Ticket) -> None:
    """Tell the runner how far each call has written."""
    if _taken is None:
        return
    if _taken.marks:
        marks, _taken.marks = _taken.marks, []
        _taken.unmarked_from = sum(_taken.ends)
        link.said(ticket, marks)
    _taken.told = monotonic()


def _look(file: int) -> float:
    """How long the simplest look at a file takes."""
    began = perf_counter()
    os.lseek(file, 0, os.SEEK_END)
    return perf_counter() - began


def _file(name: str) -> int:
    """A file without a name that everyone appends to."""
    if hasattr(os, "memfd_create"):
        file = os.memfd_create(name)
    else:
        with tempfile.TemporaryFile() as unlinked:
            file = os.dup(unlinked.fileno())
    fcntl.fcntl(file, fcntl.F_SETFL, os.O_APPEND)
    return file


def _write_through(stream: Any, descriptor: int) -> None:
    """Let nothing wait in a stream that a forked worker has inherited, and that a logger of its may still hold."""
    with suppress(Exception):  # whatever the user's program has put there
        if stream.fileno() == descriptor:
            stream.flush()
            stream.reconfigure(write_through=True)


def _as_text(lines: Lines) -> TextIO:
    return lines  # type: ignore[return-value]  # it is one in all but name
