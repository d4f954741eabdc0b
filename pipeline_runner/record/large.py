"""Large buffers of values, as files of the values folder, each named by what is in it: written once, mapped when read.

A file has a head, which says how long the buffers are, and then the buffers, as they are in memory.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from pipeline_runner.buffers import ALIGN, Buffers
from pipeline_runner.record.store import Store
from pipeline_runner.typed import NamedTuple

_NUMBER = struct.Struct("<Q")
_HEAD = 1 << 12  # bytes of which the head is a multiple, since a file is mapped in pages
_MOST = 1 << 20  # buffers in a file; a larger number is no number of ours


class Stored(NamedTuple):
    """A value as it was kept, and whether it is all there."""

    data: bytes | None
    large: Buffers | None = None
    whole: bool = True


def stored(store: Store, body: bytes | None, file: str | None) -> Stored:
    """The value of a row: in itself, or in a file; or what is large of it in a file, and the rest in itself."""
    if file is None:
        return Stored(body)
    if body is None:
        return Stored(store.read_value(file))
    large = buffers_of(store, file)
    return Stored(body, large, large is not None)


def file_of(store: Store, large: Buffers) -> str:
    """The name of the file in which these buffers are; written if they are not in one yet. Errors: OSError."""
    path = Path(large.path)
    if path.parent.parent == store.values:
        return f"{path.parent.name}/{path.name}"
    pieces = list(_pieces(large))
    whole = hashlib.sha256()
    for piece in pieces:
        whole.update(piece)
    name = whole.hexdigest()
    file = f"{name[:2]}/{name}"
    store.write_value(file, *pieces)
    return file


def buffers_of(store: Store, file: str) -> Buffers | None:
    """What is in such a file; None when it is not there, or not what it was."""
    path = store.values / file
    with suppress(OSError, ValueError, struct.error), open(path, "rb") as opened:
        if hashlib.file_digest(opened, "sha256").hexdigest() != path.name:
            return None
        opened.seek(0)
        (count,) = _NUMBER.unpack(opened.read(_NUMBER.size))
        if count <= _MOST:
            sizes = struct.unpack(f"<{count}Q", opened.read(count * _NUMBER.size))
            return Buffers(os.path.abspath(path), len(_head(sizes)), sizes)
    return None


def _pieces(large: Buffers) -> Iterator[bytes | memoryview]:
    yield _head(large.sizes)
    for view in large.views():
        yield view
        yield bytes(-view.nbytes % ALIGN)


def _head(sizes: Sequence[int]) -> bytes:
    head = b"".join(map(_NUMBER.pack, (len(sizes), *sizes)))
    return head + bytes(-len(head) % _HEAD)
