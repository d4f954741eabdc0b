"""A few bytes that a worker writes and the runner can read: what the worker is at, without a word being said.

A message for each chunk that begins would wake two threads of the runner, most often to say what its
end says again a moment later. So a worker only writes it down, and the runner looks: when any worker
has died, and now and then while they work.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile

from pipeline_runner.typed import NamedTuple

_NOTHING = -1
_WORDS = struct.Struct("2q")
_LOOKS = 3  # at words that differ: one was just being written, or its writer has died between them


class At(NamedTuple):
    """What a worker is at."""

    chunk: int
    alone: bool  # whether that chunk is one call


class Slate:
    """The worker's side."""

    def __init__(self) -> None:
        """Errors: OSError when there is no descriptor for it."""
        self.file = _file()
        os.truncate(self.file, mmap.PAGESIZE)
        # Twice the same, since a reader might see half of one.
        self._words = memoryview(mmap.mmap(self.file, mmap.PAGESIZE)).cast("q")
        self.wipe()

    def write(self, at: At) -> None:
        self._put(at.chunk << 1 | at.alone)

    def wipe(self) -> None:
        self._put(_NOTHING)

    def _put(self, word: int) -> None:
        self._words[0] = word
        self._words[1] = word


def read(file: int) -> At | None:
    """What the worker that this slate is of is at, or was when it died."""
    first = second = _NOTHING
    for _ in range(_LOOKS):
        first, second = _WORDS.unpack(os.pread(file, _WORDS.size, 0))
        if first == second:
            break
    return None if first == _NOTHING else At(first >> 1, bool(first & 1))


def _file() -> int:
    """A file without a name."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("prun-slate")
    with tempfile.TemporaryFile() as unlinked:
        return os.dup(unlinked.fileno())
