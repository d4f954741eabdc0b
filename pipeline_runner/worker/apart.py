"""Values packed with their large buffers apart: those are copied once, to where every process of the run reads them."""

from __future__ import annotations

import pickle
from collections.abc import Callable

from pipeline_runner.buffers import Buffers, Place, held_here, room_for, write
from pipeline_runner.typed import Any
from pipeline_runner.worker.packing import pack_result, parts

Room = Callable[[int], Place | None]  # bytes → where they may be written; None: there is no room


def pack_apart(values: list[Any], room: Room) -> tuple[bytes, Buffers | None]:
    """The pickle of results, and where their large buffers are; all in the pickle where there is no room for them.

    Errors: as of `pack_result`.
    """
    data, apart, strange = parts(values, result=True)
    large = (_given_back(apart) or put(apart, room)) if apart else None
    if apart and large is None:
        return pack_result(values), None
    if strange:
        # With buffers of its own: what is tried here must not write into the values.
        pickle.loads(data) if large is None else large.load(data)
    return data, large


def _given_back(apart: list[memoryview]) -> Buffers | None:
    """Where they are already, if they are what the call was given."""
    if not held_here():
        return None
    from pipeline_runner.worker.given_back import given_back  # with ctypes, which is here where anything is mapped

    return given_back(apart)


def put(apart: list[memoryview], room: Room) -> Buffers | None:
    """Copy buffers to where there is room for them. None: there is none, or it is full."""
    place = room(room_for([buffer.nbytes for buffer in apart]))
    if place is None:
        return None
    try:
        return write(place, apart)
    except OSError:
        return None
