"""Large buffers of values, apart from their pickle: written once into a file in memory, and mapped where they are read.

A mapping is private. Whoever writes to such a value writes to a copy of his own, page by page, so it is as good as one
that came through a pipe: no other call, no second try and nobody else who reads it ever sees what was written.
"""

from __future__ import annotations

import io
import os
import pickle
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from weakref import WeakValueDictionary, finalize

from pipeline_runner.typed import Any, Protocol

LEAST = 1 << 18  # bytes of a buffer that goes apart; a smaller one is sent as fast as room for it can be asked for
ALIGN = 64  # bytes, as numpy has it
KNOWN = sys.platform == "linux"  # where such files can be had without a name that could be left behind

_PAGE = os.sysconf("SC_PAGE_SIZE")
READ_WRITE = 1 | 2  # PROT_READ | PROT_WRITE of mmap(2)
_PRIVATE = 2 | 0x4000  # MAP_PRIVATE | MAP_NORESERVE: only what is written to takes memory


class Memory(Protocol):
    """A place that is mapped here, with all of its pages."""

    def put(self, at: int, data: memoryview) -> None: ...


class Place(Protocol):
    """Room for buffers: a part of a file that has a name here and in every other process of this run."""

    @property
    def path(self) -> str: ...
    @property
    def offset(self) -> int: ...
    @property
    def memory(self) -> Memory | None: ...


owners: WeakValueDictionary[tuple[str, int], Any] = WeakValueDictionary()
"""Who keeps a place from being used for something else, as long as anybody holds it: known where it was given."""

_mapped: dict[int, tuple[tuple[str, int], int]] = {}  # by address: places that this process has mapped now, and bytes


class Buffers:
    """Where the buffers of one pickle are, one after the other. It may be sent to any process of the run."""

    __slots__ = ("offset", "owner", "path", "sizes")

    def __init__(self, path: str, offset: int, sizes: tuple[int, ...]) -> None:
        self.path = path
        self.offset = offset  # a multiple of the page
        self.sizes = sizes
        self.owner = owners.get((path, offset))

    def __reduce__(self) -> tuple[Any, ...]:
        return Buffers, (self.path, self.offset, self.sizes)

    @property
    def size_bytes(self) -> int:
        return sum(self.sizes)

    def views(self) -> list[memoryview]:
        """Each buffer, mapped. Errors: OSError."""
        whole = _map(self)
        return [whole[at : at + size] for at, size in zip(starts(self.sizes), self.sizes, strict=True)]

    def load(self, data: bytes) -> Any:
        """The value whose pickle and buffers these are. Errors: OSError; whatever its classes raise."""
        return load(data, self.views())


def load(data: bytes, buffers: Sequence[Any]) -> Any:
    """The value of a pickle that was made with these buffers apart."""
    return _Reader(data, buffers).load()


def room_for(sizes: Sequence[int]) -> int:
    """How many bytes buffers of these sizes need."""
    return sum(-(-size // ALIGN) * ALIGN for size in sizes)


def write(place: Place, buffers: Sequence[memoryview]) -> Buffers:
    """Put them into a place. Errors: OSError, when there is no room for them after all.

    Not through a mapping, unless there is one already: write(2) says that memory or disk is full where a mapping would
    end the process, and to a page that is new it is twice as fast.
    """
    sizes = tuple(buffer.nbytes for buffer in buffers)
    if (memory := place.memory) is not None:
        for start, buffer in zip(starts(sizes), buffers, strict=True):
            memory.put(start, buffer)
        return Buffers(place.path, place.offset, sizes)
    file = os.open(place.path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        for start, buffer in zip(starts(sizes), buffers, strict=True):
            _write(file, buffer, place.offset + start)
    finally:
        os.close(file)
    return Buffers(place.path, place.offset, sizes)


def _write(file: int, buffer: memoryview, at: int) -> None:
    while buffer:
        written = os.pwrite(file, buffer, at)
        buffer, at = buffer[written:], at + written


def held_here() -> list[tuple[str, int]]:
    """Places that something in this process still reads."""
    return [place for place, _ in _mapped.values()]


def mapped_at(address: int) -> tuple[tuple[str, int], int] | None:
    """Which place has been mapped here at this address, and how much of it in bytes."""
    return _mapped.get(address)


def starts(sizes: Sequence[int]) -> Iterator[int]:
    """How far from the first each buffer of these sizes begins, in bytes."""
    at = 0
    for size in sizes:
        yield at
        at += -(-size // ALIGN) * ALIGN


class _Reader(pickle.Unpickler):
    """Buffers are taken from the front; bytes, which packing.py has put at the back, are named by their place there."""

    def __init__(self, data: bytes, buffers: Sequence[Any]) -> None:
        super().__init__(io.BytesIO(data), buffers=buffers)
        self._buffers = buffers
        self._read: dict[int, bytes | bytearray] = {}

    def persistent_load(self, pid: tuple[int, bool]) -> bytes | bytearray:
        number, mutable = pid
        if number not in self._read:
            buffer = self._buffers[-1 - number]
            self._read[number] = bytearray(buffer) if mutable else bytes(buffer)
        return self._read[number]


@cache
def kernel() -> Any:
    """mmap(2), munmap(2) and madvise(2). Asked for only where there is something to map: ctypes is slow to import."""
    import ctypes

    kernel = ctypes.CDLL(None, use_errno=True)
    kernel.mmap.restype = ctypes.c_void_p
    kernel.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
    kernel.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    kernel.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return kernel


def _map(buffers: Buffers) -> memoryview:
    """Not by `mmap.mmap`, which keeps a descriptor for each mapping: a result may have more arrays than there are."""
    import ctypes

    size = room_for(buffers.sizes)
    file = os.open(buffers.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        address = kernel().mmap(None, size, READ_WRITE, _PRIVATE, file, buffers.offset)
    finally:
        os.close(file)
    if address == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), buffers.path)
    memory = (ctypes.c_ubyte * size).from_address(address)
    _mapped[address] = (buffers.path, buffers.offset), size
    # The owner goes along: in its own process nothing is freed that is still mapped.
    finalize(memory, _unmap, address, size, buffers.owner).atexit = False  # values may be read even then
    return pickle.PickleBuffer(memory).raw()


def _unmap(address: int, size: int, owner: object) -> None:
    _mapped.pop(address, None)
    kernel().munmap(address, size)
