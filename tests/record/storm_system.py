"""P6, below SQLite: a write that it asks of the kernel fails, finds no room, or is cut in half by the death of the
process. SQLite lets these calls be replaced, for tests such as this one."""

from __future__ import annotations

import _sqlite3
import ctypes
import errno
import itertools
import os
import signal
from pathlib import Path

from storm_site import SERIAL, Site
from storm_writes import LOST, OWED, UNCLEAR, UNTRIED, WRONG, clear, goes_on, teller
from tally import Tally

HOW = ("EIO", "ENOSPC", "cut in half")
WRITES = 3 * 240  # of a run that has some 180, more on a busy machine; the last must find that there are no more

_Setter = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
_Getter = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)
_Pwrite = ctypes.CFUNCTYPE(
    ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64, use_errno=True
)


class _Vfs(ctypes.Structure):
    """sqlite3_vfs of sqlite3.h, as far as the two functions that are needed."""

    _fields_ = [
        *((name, ctypes.c_int) for name in ("version", "size_of_file", "longest_path")),
        *((name, ctypes.c_void_p) for name in ("next", "name", "data", *(f"function{n}" for n in range(13)))),
        ("set_system_call", _Setter),
        ("get_system_call", _Getter),
    ]


def writes(trials: range, seed: int) -> Tally:
    """P6: the N-th write of SQLite itself fails, finds no room, or is cut in half by death, for every N."""
    tally = Tally.of(LOST, WRONG, UNCLEAR, OWED, UNTRIED)
    for trial in trials:
        how, number = HOW[trial % len(HOW)], 1 + trial // len(HOW)
        with tally.trial(how, number), Site() as site:
            site.stages(SERIAL)
            told, struck = site.top / "told", site.top / "struck"
            kind, value = site.forked(
                lambda how=how, at=number, file=struck: _strike(how, at, file), on_event=teller(told)
            )  # type: ignore[misc]
            if not struck.exists():
                tally.beyond += 1
                continue
            tally.trials += 1
            tally.did[f"writes: {how}"] += 1
            tally.at_most("SQLite's writes", number)
            if how == "cut in half":
                tally.check(kind == "killed", WRONG, how, number, kind, value)
            elif kind == "done":
                tally.did["writes of which SQLite needed nothing"] += 1  # the log is put into the database later, then
            else:
                clear(tally, site, kind, value, how, number)
            goes_on(tally, site, told, how, number)
            tally.check(trial < WRITES - len(HOW), UNTRIED, how, number)
    return tally


_kept: list[object] = []  # what SQLite calls must not be let go of


def _strike(how: str, number: int, struck: Path) -> None:
    """Make SQLite's N-th write in this process go wrong."""
    library = ctypes.CDLL(_sqlite3.__file__)
    library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
    vfs = library.sqlite3_vfs_find(None)
    numbers = itertools.count(1)
    real = _Pwrite(vfs.contents.get_system_call(vfs, b"pwrite64"))

    def pwrite(file: int, data: int, size: int, at: int) -> int:
        if next(numbers) == number:
            struck.touch()
            if how == "cut in half":
                real(file, data, size // 2, at)
                os.kill(os.getpid(), signal.SIGKILL)
            ctypes.set_errno(getattr(errno, how))
            return -1
        return int(real(file, data, size, at))

    ours = _Pwrite(pwrite)
    _kept.extend((library, real, ours))
    if vfs.contents.set_system_call(vfs, b"pwrite64", ctypes.cast(ours, ctypes.c_void_p)):
        raise RuntimeError("this SQLite has no pwrite64 to replace")
