"""Reads what a worker and its children write: lines for their calls, and no more of one call than is worth keeping."""

from __future__ import annotations

import ctypes
import os
import sys

from pipeline_runner.engine.messages import Line
from pipeline_runner.worker.capture import AHEAD, Mark
from pipeline_runner.worker.limits import C

CAP = 1 << 20  # bytes of one call and stream that are told
LINES = 20_000  # that are told of them: each is an event, and a flood of short lines would keep the engine busy
TAIL = 1 << 12  # bytes of its end that are told too, where the middle is left out
_PAGE = os.sysconf("SC_PAGE_SIZE")
_KEEP_SIZE_PUNCH_HOLE = 3  # of fallocate(2)


class Overheard:
    """The two files of one worker. Owned by the beacon's thread."""

    def __init__(self, stdout: int, stderr: int) -> None:
        self._files = (_File(stdout, "stdout"), _File(stderr, "stderr"))

    def up_to(self, mark: Mark) -> list[Line]:
        """What a call wrote, now that it has ended."""
        position, *ends = mark
        return [line for file, end in zip(self._files, ends, strict=True) for line in file.ended(position, end)]

    def so_far(self, position: int | None, sizes: tuple[int, int]) -> list[Line]:
        """Whole lines of a call that goes on, up to sizes that were seen before it was known to go on: what came
        later may be the next call's."""
        return [line for file, size in zip(self._files, sizes, strict=True) for line in file.so_far(position, size)]

    def sizes(self) -> tuple[int, int]:
        stdout, stderr = (file.size() for file in self._files)
        return stdout, stderr

    def stem(self, sizes: tuple[int, int]) -> None:
        """Give back the memory of what is more than one call's, of calls that cannot be told apart yet."""
        for file, size in zip(self._files, sizes, strict=True):
            file.forget(file.at + CAP + AHEAD, size - TAIL)

    def rest(self, position: int | None) -> list[Line]:
        """What it wrote last, when it is dead."""
        return self.up_to((position, *self.sizes()))

    def close(self) -> None:
        for file in self._files:
            os.close(file.descriptor)


class _File:
    def __init__(self, descriptor: int, stream: str) -> None:
        self.descriptor = descriptor
        self.at = 0  # where to read on
        self._stream = stream
        self._begun = b""  # a line whose end is still to come
        self._told = 0  # bytes of the call that is being read
        self._lines = 0  # of it
        self._dropped = 0  # bytes that were read and are not told
        self._forgotten = 0  # up to here, the memory was given back

    def size(self) -> int:
        return os.lseek(self.descriptor, 0, os.SEEK_END)

    def so_far(self, position: int | None, size: int) -> list[Line]:
        if size <= self.at:
            return []
        lines = self._read(position, size)
        self.forget(self.at, size - TAIL)  # beyond the cap
        return lines

    def ended(self, position: int | None, end: int) -> list[Line]:
        if end <= self.at and not self._begun:
            self._told = self._lines = 0
            return []
        lines = self._read(position, end)
        if end > self.at or self._dropped:
            self._leave_out(lines, position, end)
        if self._begun:
            lines.append((position, self._stream, _text(self._begun)))
        self._begun = b""
        self._told = self._lines = self._dropped = 0
        if self.at - self._forgotten > CAP:
            self.forget(self._forgotten, self.at)
        return lines

    def _read(self, position: int | None, end: int) -> list[Line]:
        """Lines up to `end`, or up to what one call may say."""
        stop = min(end, self.at + CAP - self._told)
        read = [self._begun]
        while self.at < stop and (piece := os.pread(self.descriptor, stop - self.at, self.at)):
            self.at += len(piece)
            self._told += len(piece)
            read.append(piece)
        *lines, self._begun = b"".join(read).split(b"\n")
        self._lines += len(lines)
        if self._lines > LINES:
            most = max(0, len(lines) - (self._lines - LINES))
            self._dropped += sum(map(len, lines[most:])) + len(lines) - most + len(self._begun)
            lines, self._begun, self._told = lines[:most], b"", CAP
        return [(position, self._stream, _text(line)) for line in lines]

    def _leave_out(self, lines: list[Line], position: int | None, end: int) -> None:
        """Tell how much is not told, and the last lines after that."""
        start = max(self.at, end - TAIL)
        begun, _, tail = os.pread(self.descriptor, end - start, start).partition(b"\n")
        if self._begun:
            lines.append((position, self._stream, _text(self._begun)))
        left_out = self._dropped + start - self.at + len(begun)
        lines.append((position, self._stream, f"… {left_out:,} bytes of {self._stream} left out …"))
        *last, self._begun = tail.split(b"\n")
        lines += [(position, self._stream, _text(line)) for line in last]
        self.at = end

    def forget(self, start: int, stop: int) -> None:
        """Give the memory of a part back. Its bytes read as zeros, and every other keeps its place."""
        start = max(start, self._forgotten)
        start, stop = -(-start // _PAGE) * _PAGE, stop // _PAGE * _PAGE
        if stop - start < _PAGE or sys.platform != "linux":
            return
        C.fallocate(self.descriptor, _KEEP_SIZE_PUNCH_HOLE, ctypes.c_long(start), ctypes.c_long(stop - start))
        self._forgotten = stop


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode("utf-8", "backslashreplace")
