"""Forks the fork server and its tracker from this process, while it is small and has one thread.

The library starts each as an interpreter of its own, which imports once more what is here already: together twice the
CPU of a script with a pool. It says itself what they are to do; only how they are started is another way.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import os
import signal
import sys
import threading
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import forkserver, pool, process, queues, resource_tracker, synchronize, util  # noqa: F401 - for workers
from types import ModuleType

from pipeline_runner.servers import deaf_to, hidden_main, launch_lock, may_start_early, start_fork_server, start_tracker
from pipeline_runner.typed import Any
from pipeline_runner.worker import perform, start  # noqa: F401 - for workers too
from pipeline_runner.worker.limits import C

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
KNOWN = sys.platform == "linux"  # elsewhere a fork may not go on with what system libraries have begun
PR_SET_NAME = 15
_util: Any = util
_execute = _util.spawnv_passfds


def fork_helpers() -> None:
    """Have both running, if that can be done. What fails here is told when they are needed."""
    if KNOWN and may_start_early() and threading.active_count() == 1:
        with suppress(OSError), launch_lock, _forked(), hidden_main():
            start_tracker("multiprocessing")
            start_fork_server("multiprocessing")


@contextmanager
def _forked() -> Iterator[None]:
    """What the library would execute here, is forked."""
    _util.spawnv_passfds = _fork
    try:
        yield
    finally:
        _util.spawnv_passfds = _execute


def _fork(path: bytes | str, words: Sequence[str | bytes], passed: Sequence[int]) -> int:
    """In place of util.spawnv_passfds. The last of the words is the program."""
    sys.stdout.flush()
    with deaf_to(*ENDING):  # until it has its own answers to them
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        pid = os.fork()
        if not pid:
            _be(list(map(os.fsdecode, words)), passed, before)
    return pid


def _be(words: Sequence[str], passed: Collection[int], mask: set[int]) -> None:
    """Be the process that these words would have started, and end."""
    code = 1
    try:
        _as_if_new(words, passed)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        exec(words[-1], vars(sys.modules["__main__"]))
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        atexit._run_exitfuncs()
        os._exit(code)


def _as_if_new(words: Sequence[str], passed: Collection[int]) -> None:
    """Nothing of the runner's: neither what it answers to signals, nor its files, its results' stdout, its script."""
    atexit._clear()
    gc.freeze()  # what is here is never looked through, nor copied for it into each worker
    gc.enable()
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    os.dup2(2, 1)
    for file in map(int, os.listdir("/dev/fd")):
        if file > 2 and file not in passed:
            with suppress(OSError):  # that of the listing
                os.close(file)
    for name in ("stdin", "stdout", "stderr"):
        setattr(sys, name, getattr(sys, f"__{name}__") or getattr(sys, name))
    sys.modules["__main__"] = sys.modules["__mp_main__"] = ModuleType("__main__")
    sys.argv = ["-c"]
    warnings.filterwarnings("ignore", message="resource_tracker")
    _forget_the_launch()
    _be_called(words)


def _forget_the_launch() -> None:
    """In the middle of which this process was forked: its locks are held, and what it opens is the runner's. What
    calls start with the library is executed as ever."""
    _util.spawnv_passfds = _execute
    libraries: tuple[Any, ...] = (forkserver._forkserver, resource_tracker._resource_tracker)
    for helper in libraries:
        helper.__init__()
    this: Any = process.current_process()
    this._config.pop("tempdir", None)


def _be_called(words: Sequence[str]) -> None:
    """Let lists of processes show what they would have shown, as far as there is room: `pkill prun` is meant for the
    runner, which ends these in order."""
    C.prctl(PR_SET_NAME, os.fsencode(os.path.basename(words[0])), 0, 0, 0)
    with open("/proc/self/stat", "rb") as stat:
        begin, end = map(int, stat.read().rpartition(b") ")[2].split()[45:47])  # arg_start, arg_end of proc(5)
    if begin:
        text = b"\0".join(map(os.fsencode, words))
        ctypes.memmove(begin, text.ljust(end - begin, b"\0"), end - begin - 1)
