"""A small process that runs one command, and ends all of it when the runner closes a pipe, or is gone.

What a cluster library starts (daemons, launchers, ranks) is below it, in a session that no Ctrl-C reaches.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from time import monotonic

from pipeline_runner.worker import limits

CODE = "import sys; sys.path.insert(0, sys.argv.pop()); import pipeline_runner.worker.keeper as k; k.main()"
SAID, ENDED = "said", "ended"  # files in its folder: what the command writes, and that it is over
LOOK_S = 0.2  # how often to look whether the command has ended
SHARED_S = 2.0  # and what it shares: it may end all at once
SHARED = ("sem.mp-", "mpich_shm_", "ucx_shm_", "vader_segment", "sm_segment")  # multiprocessing's, MPI's


def main() -> None:
    """`keeper.main()` with a folder that goes when it does, and the command. Its stdin is the pipe."""
    folder, *command = sys.argv[1:]
    limits.take_in_orphans()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with open(os.path.join(folder, SAID), "wb") as said:
        kept = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, preexec_fn=_be_mortal, cwd=folder
        )
    shared: set[str] = set()
    looked_at = 0.0
    while kept.poll() is None and not select.select([0], [], [], LOOK_S)[0]:
        if monotonic() - looked_at > SHARED_S:
            shared |= shared_memory()
            looked_at = monotonic()
    shared |= shared_memory()
    limits.kill_below(os.getpid())
    for path in shared:
        with suppress(OSError):
            os.unlink(path)
    with suppress(OSError), open(os.path.join(folder, ENDED), "wb"):
        pass
    select.select([0], [], [])  # until then, somebody may still read what was said
    shutil.rmtree(folder, ignore_errors=True)


def shared_memory() -> set[str]:
    """What libraries have mapped in the processes below, and would leave where these do not end in order."""
    found: set[str] = set()
    for pid in limits.below(os.getpid()):
        with suppress(OSError), open(f"/proc/{pid}/maps") as maps:
            names = (line.rstrip().partition("/dev/shm/")[2] for line in maps if "/dev/shm/" in line)
            found.update(f"/dev/shm/{name}" for name in names if name.startswith(SHARED))
    return found


def _be_mortal() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
