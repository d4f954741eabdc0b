"""The first and the last thing that a worker process does for its library, before and around our work."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection

from pipeline_runner.calls import Receipt, Ticket
from pipeline_runner.worker.brand import Brand, carry


def begin(brand: Brand | None = None) -> None:
    """Make a new worker deaf to Ctrl-C, free of what it inherited from the runner, and keep it off the runner's stdout.

    Ctrl-C reaches every process of a terminal; only the runner answers it, and then ends the
    workers. A forked worker would otherwise also run the runner's own SIGTERM handler.
    """
    if brand is not None:
        carry(brand)
    with suppress(ValueError):  # not the main thread: the signals are someone else's
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # `nohup` meant it
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
    # What compiled code writes to descriptor 1 goes to stderr: the runner's stdout is for results.
    os.dup2(2, 1)
    # A call that reads its stdin finds the end of it, and does not wait for someone at the terminal.
    empty = os.open(os.devnull, os.O_RDONLY)
    if empty != 0:
        os.dup2(empty, 0)
        os.close(empty)
    may_have_children()
    let_server_go()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})


def may_have_children() -> None:
    """Let calls open pools of their own, which libraries forbid to daemonic workers. What they leave is ended."""
    for library in ("multiprocessing", "multiprocess"):
        # A fork finds it half imported when another thread of the runner was at that: then it is not this worker's.
        current = getattr(sys.modules.get(f"{library}.process"), "_current_process", None)
        if current is not None:
            current._config.pop("daemon", None)


def let_server_go() -> None:
    """Give up this worker's hold on its fork server, which otherwise goes on as long as any of its children.

    It is to end with the runner, since it is then that it ends workers which cannot end themselves.
    """
    for library in ("multiprocessing", "multiprocess"):
        server = getattr(sys.modules.get(f"{library}.forkserver"), "_forkserver", None)
        if server is not None and server._forkserver_alive_fd is not None and server._forkserver_pid is None:
            os.close(server._forkserver_alive_fd)
            server._forkserver_alive_fd = None


def run_one(
    row: Callable[[Ticket, bytes], Receipt],
    ticket: Ticket,
    payload: bytes,
    reply: Connection[Receipt, None],
    brand: Brand | None,
) -> None:
    """What a `multiprocessing.Process` of ours runs: one chunk, and its receipt sent back by hand."""
    begin(brand)
    reply.send(row(ticket, payload))
    reply.close()
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.current_thread()):
        os._exit(0)  # a thread that the call has left would keep this process, and whoever joins it, for ever
