"""Room in memory for the large buffers of values, which runner and workers share: lent out, and used again.

It is one file without a name. Its parts are lent to whoever writes large buffers, and a part is free again as soon as
nobody holds it: a chunk in flight, a stage's result, a user's array that was mapped from it. Nobody counts that but
Python itself: all of them hold the same `Lent`. A part that is free is written to again, since memory that is touched
for the first time costs more than the copy that goes there.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import tempfile
import threading
from collections import Counter, deque
from collections.abc import Iterable
from contextlib import suppress
from weakref import finalize

from pipeline_runner.buffers import KNOWN, owners
from pipeline_runner.calls import Calls, Pack, Part
from pipeline_runner.classes import replace
from pipeline_runner.engine.mapped import Mapped
from pipeline_runner.engine.memory import available_bytes
from pipeline_runner.typed import Any
from pipeline_runner.worker.apart import put
from pipeline_runner.worker.limits import C
from pipeline_runner.worker.packing import large_bytes, parts
from pipeline_runner.worker.perform import pack_payload

MEMORY = 0.5  # of what is available when the first large buffer comes
DISK = 0.5  # of what is free there then
OFTEN = 4  # times that the runner writes to a part: then it is kept mapped
SLACK = 1.25  # how much larger a free part may be than what is put into it
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PUNCH_HOLE = 3  # of fallocate(2), with the size kept
_DUMPABLE = 3  # PR_GET_DUMPABLE of prctl(2)


class Lent:
    """A part of a file, as long as somebody holds it."""

    def __init__(self, file: _File, offset: int, size: int) -> None:
        self.path = file.path
        self.offset = offset
        self._size = size
        self._file = file  # open, as long as there is a part of it
        owners[self.path, offset] = self

    @property
    def memory(self) -> Mapped | None:
        """The part as memory of this process, where that pays."""
        return self._file.mapped(self.offset, self._size)

    def __del__(self) -> None:
        # Anywhere, in any thread, perhaps in the middle of `lend`: so it takes no lock.
        self._file.take_back(self.offset, self._size)


class _File:
    """One file and its parts. What is free of it stays in memory, to be used again, as far as there is use for it."""

    def __init__(self, descriptor: int, most: int, *, in_memory: bool) -> None:
        self.path = f"/proc/{os.getpid()}/fd/{descriptor}"
        self.freed: deque[tuple[int, int]] = deque()
        self.held = 0  # bytes that it takes, free ones included
        self._descriptor = descriptor
        self._most = most
        self._retired = False
        self._in_memory = in_memory
        self._writes: Counter[int] = Counter()  # by offset: how often this process has written there
        self._mapped: dict[int, Mapped | None] = {}  # by offset; None: it cannot be mapped
        self._free: dict[int, list[int]] = {}  # by size: where
        self._end = 0
        finalize(self, os.close, descriptor).atexit = False  # values may be read even then

    def take_back(self, offset: int, size: int) -> None:
        """A part that nobody holds any more."""
        if self._retired:
            self._punch(offset, size)
        else:
            self.freed.append((offset, size))

    def retire(self) -> None:
        """The run is over: what is free will not be used again."""
        self._retired = True
        self.give_back()

    def lend(self, size: int) -> Lent | None:
        """A part of at least so many bytes, or None when there are none left."""
        size = -(-size // _PAGE) * _PAGE
        self._collect()
        fit = min((have for have in self._free if size <= have <= size * SLACK), default=None)
        if fit is not None:
            return Lent(self, self._pop(fit), fit)
        self.give_back(at_least=size)  # sizes have changed: what is free and does not fit makes room for what does
        if self.held + size > self._most:
            return None
        offset, self._end = self._end, self._end + size
        try:
            os.ftruncate(self._descriptor, self._end)
        except OSError:  # RLIMIT_FSIZE
            return None
        self.held += size
        return Lent(self, offset, size)

    def mapped(self, offset: int, size: int) -> Mapped | None:
        """A part that this process is about to write to, mapped if it has done so often: until it is given back to the
        system. One that is soon a worker's for good would be mapped for nothing."""
        self._writes[offset] += 1
        if self._writes[offset] < OFTEN:
            return None
        if offset not in self._mapped:
            self._mapped[offset] = None
            if self._in_memory:
                with suppress(OSError):  # an old kernel, or no memory: it is written to as any other
                    self._mapped[offset] = Mapped(self._descriptor, offset, size)
        return self._mapped[offset]

    def give_back(self, at_least: int | None = None) -> None:
        """Give free memory back to the system: so much of it, or all."""
        self._collect()
        given = 0
        while self._free and (at_least is None or given < at_least):
            size = max(self._free)
            offset = self._pop(size)
            self._punch(offset, size)
            self.held -= size
            given += size

    def _punch(self, offset: int, size: int) -> None:
        del self._writes[offset]
        mapped = self._mapped.pop(offset, None)
        if mapped is not None:
            mapped.close()  # what is written there later must not ask for a page that is not to be had
        C.fallocate(self._descriptor, _PUNCH_HOLE, ctypes.c_long(offset), ctypes.c_long(size))

    def _collect(self) -> None:
        while self.freed:
            offset, size = self.freed.popleft()
            self._free.setdefault(size, []).append(offset)

    def _pop(self, size: int) -> int:
        offsets = self._free[size]
        offset = offsets.pop()
        if not offsets:
            del self._free[size]
        return offset


class Arena:
    """What large buffers of a run are written to: memory first, then the disk. Used by several threads."""

    def __init__(self, *, memory: int | None = None) -> None:
        self._memory = memory  # bytes at most; None: as there are
        self._lock = threading.Lock()
        self._files: list[_File] | None = None
        self._lent: dict[int, list[Lent]] = {}  # by pid: to a worker that has not told yet what is there now
        self._read: dict[int, list[Any]] = {}  # by pid: what a worker still has mapped, though its chunk has ended

    def lend(self, size: int) -> Lent | None:
        """Room for so many bytes; None when there is none."""
        with self._lock:
            if self._files is None:
                self._files = list(self._made())
            return next((lent for file in self._files if (lent := file.lend(size)) is not None), None)

    def lend_to(self, pid: int, size: int) -> tuple[str, int] | None:
        """The same for a worker, until it has told what became of its chunk."""
        lent = self.lend(size)
        if lent is None:
            return None
        self._lent.setdefault(pid, []).append(lent)
        return lent.path, lent.offset

    def settle(self, pid: int, read: Iterable[tuple[str, int]]) -> None:
        """A worker's chunk has ended, and its results are held by whoever wants them. It still reads these places."""
        self._lent.pop(pid, None)
        kept = [owner for place in read if (owner := owners.get(place)) is not None]
        if kept or pid in self._read:
            self._read[pid] = kept

    def forget(self, pid: int) -> None:
        """A worker is gone."""
        self._lent.pop(pid, None)
        self._read.pop(pid, None)

    def trim(self) -> None:
        """Keep no memory that nobody holds."""
        with self._lock:
            for file in self._files or ():
                file.give_back()

    def retire(self) -> None:
        """The run is over. What others still hold stays."""
        with self._lock:
            for file in self._files or ():
                file.retire()

    def packed(self, calls: Calls) -> tuple[Calls, bytes]:
        """The payload of a chunk, and its calls as they are now: with what is large in the arena, and not here.

        Errors: as of `pack_payload`.
        """
        apart: list[memoryview] = []
        payload = pack_payload(calls, apart)
        texts = any(large_bytes(part) for column in calls.columns for part in column if isinstance(part, list))
        if not apart and not texts:
            return calls, payload
        stowed = replace(calls, columns=tuple(tuple(map(self._stowed, column)) for column in calls.columns))
        return stowed, pack_payload(stowed)

    def _stowed(self, part: Part) -> Part:
        if isinstance(part, Pack | range):
            return part
        data, apart, _ = parts(part, result=False)
        large = put(apart, self.lend) if apart else None
        return part if large is None else Pack(data, 0, len(part), large=large)

    def _made(self) -> Iterable[_File]:
        """A file in memory, and one on the disk for what there is no memory for. None where they cannot be had."""
        if not KNOWN or C.prctl(_DUMPABLE, 0, 0, 0, 0) != 1:
            return  # no other process may look into what we have open
        with suppress(OSError):
            most = int(MEMORY * available_bytes()) if self._memory is None else self._memory
            yield _File(os.memfd_create(f"prun-arena-{os.getpid()}", os.MFD_CLOEXEC), most, in_memory=True)
        with suppress(OSError), tempfile.TemporaryFile(prefix="prun-") as file:
            free = shutil.disk_usage(tempfile.gettempdir()).free
            yield _File(os.dup(file.fileno()), int(DISK * free), in_memory=False)
