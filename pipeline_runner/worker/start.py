"""The first and the last thing that a worker process does for its library, before and around our work."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection

from pipeline_runner.calls import Receipt, Ticket


def begin() -> None:
    """Make a new worker deaf to Ctrl-C, free of what it inherited from the runner, and keep it off the runner's stdout.

    Ctrl-C reaches every process of a terminal; only the runner answers it, and then ends the
    workers. A forked worker would otherwise also run the runner's own SIGTERM handler.
    """
    with suppress(ValueError):  # not the main thread: the signals are someone else's
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # `nohup` meant it
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
    # Nothing is there to be read: the runner's stdin is its own, and a child that reads must not wait for it.
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    # Daemons may have no children, for fear of orphans; but calls may open pools of their own, and when a worker
    # is killed its whole tree is.
    for library in ("multiprocessing.process", "multiprocess.process"):
        if library in sys.modules:
            sys.modules[library].current_process()._config["daemon"] = False
    # What compiled code writes to descriptor 1 goes to stderr: the runner's stdout is for results.
    os.dup2(2, 1)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})


def run_one(
    row: Callable[[Ticket, bytes], Receipt], ticket: Ticket, payload: bytes, reply: Connection[Receipt, None]
) -> None:
    """What a `multiprocessing.Process` of ours runs: one chunk, and its receipt sent back by hand."""
    begin()
    reply.send(row(ticket, payload))
    reply.close()
