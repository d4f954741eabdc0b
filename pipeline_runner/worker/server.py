"""Imported by fork servers alone: makes one outlive every signal but the last, and nothing outlive it.

A fork server is the parent of its pools' workers and, once it has taken in their orphans, of all that a
dead worker has left. It ends when the runner does, whatever the runner died of: that is when it ends
everything below itself, also a worker that is stuck in compiled code.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import warnings
from collections.abc import Iterator
from contextlib import suppress

from pipeline_runner.worker import limits

ENDINGS = (signal.SIGTERM, signal.SIGHUP)


def guard() -> None:
    """Called once, before the first worker is forked."""
    here, group = os.getpid(), _group_to_join()
    folders = {os.path.dirname(path) for path in _listening()}
    usual = {number: signal.getsignal(number) for number in ENDINGS}

    def leave_nothing() -> None:
        if os.getpid() == here:
            limits.kill_below(here)
            for folder in folders:  # where its address is; the runner takes it away, if it still can
                shutil.rmtree(folder, ignore_errors=True)

    def be_mortal() -> None:
        if os.getppid() != here:
            return  # a child of a worker: its group and its signals are the user's affair
        if group:
            with suppress(OSError):
                os.setpgid(0, group)
        for number, handler in usual.items():
            signal.signal(number, handler)

    # SIGKILL to the whole group is not to end it before it has ended what has left the group. Workers go back to it,
    # so that a terminal's Ctrl-Z still stops them.
    with suppress(OSError):
        os.setpgid(0, 0)
    limits.take_in_orphans()
    # A signal to the whole group would end it before the runner has said what is to become of its pools.
    for number in ENDINGS:
        signal.signal(number, signal.SIG_IGN)
    os.register_at_fork(after_in_child=be_mortal)
    atexit.register(leave_nothing)
    # It buries every child, and warns of those that it did not fork itself: orphans are meant to be here.
    warnings.filterwarnings("ignore", message="forkserver: waitpid returned unexpected pid")


def _group_to_join() -> int:
    """The runner's group, where a shell may stop it and go on with it; 0: there is none.

    The group of a session's leader has no shell: Ctrl-Z does nothing to it. Workers in it would be its only link to
    its session, and when the last one died while another process was stopped, the kernel would send SIGHUP to all.
    """
    group = os.getpgid(0)
    return 0 if group == os.getsid(0) else group


def _listening() -> Iterator[str]:
    """The addresses of this process's sockets that multiprocessing has made folders for."""
    for descriptor in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():
        with suppress(OSError), socket.socket(fileno=os.dup(int(descriptor))) as listener:
            address = listener.getsockname()
            if isinstance(address, str) and os.path.basename(os.path.dirname(address)).startswith("pymp-"):
                yield address


guard()
