"""What a process may use, and how it ends with all that it has started: read and done through /proc (Linux).

A call may start processes, and these may leave their group and their session, and let their parent
die. So that none of them gets out of sight, a worker takes in its orphans (PR_SET_CHILD_SUBREAPER):
as long as it is there, everything that it started is below it.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from time import monotonic

from pipeline_runner.typed import Any

PR_SET_CHILD_SUBREAPER = 36
TREE_S = 1.0  # a tree that still grows after so long is left without its root
_PAGE = os.sysconf("SC_PAGE_SIZE")

C = ctypes.CDLL(None, use_errno=True)


def take_in_orphans() -> None:
    """Be the parent of every descendant whose own parent dies, in place of init."""
    if sys.platform == "linux":
        C.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children(pid: int) -> set[int]:
    """Its children, corpses included; none if it is gone, or where there is no /proc."""
    found: set[int] = set()
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError), open(f"/proc/{pid}/task/{thread}/children", "rb") as listed:
                found.update(map(int, listed.read().split()))
    return found


def below(pid: int) -> Iterator[int]:
    """Every living descendant, parents before their children."""
    todo = [pid]
    while todo:
        for child in children(todo.pop()):
            todo.append(child)
            if not is_corpse(child):
                yield child


def is_corpse(pid: int) -> bool:
    """Whether nothing is left of it but its exit code, or not even that."""
    return state(pid) in ("Z", "X", "")


def state(pid: int) -> str:
    """The letter that /proc has for what it does; "" when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return chr(stat.read().rpartition(b") ")[2][0])
    except (OSError, IndexError):
        return ""


def began(pid: int) -> str:
    """When it was started, as the kernel counts: no other process of its number began then. "?" when it is gone, or
    where there is no /proc."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return stat.read().rpartition(b") ")[2].split()[19].decode()
    except (OSError, IndexError):
        return "?"


def kill_tree(pid: int) -> None:
    """End a process and all that it has started, in whatever group or session. Nothing happens if it is gone.

    The root is stopped and dies last: while it is there, it takes in the orphans of those that die
    before it, so that a double fork in the very last moment is still found.
    """
    send(pid, signal.SIGSTOP)
    kill_below(pid)
    send(pid, signal.SIGKILL)


def kill_below(pid: int, spare: Iterable[int] = ()) -> None:
    """End all that a process has started, until there is nothing left, and not the process itself."""
    spared = {pid, os.getpid(), *spare}
    end_all(lambda: [one for one in below(pid) if one not in spared])


def end_all(found: Callable[[], Collection[int]]) -> None:
    """End processes until no more are found."""
    deadline = monotonic() + TREE_S
    while (left := found()) and monotonic() < deadline:
        for one in left:  # all are stopped before the first one dies: none of them may start another meanwhile
            send(one, signal.SIGSTOP)
        for one in left:
            send(one, signal.SIGKILL)


def send(pid: int, number: int) -> None:
    with suppress(OSError):
        os.kill(pid, number)


def resident_bytes(pid: int, given: int = 0) -> int:
    """Memory that a process and its descendants hold now; not that of arguments, so many bytes, which they were given
    in memory that is the runner's. What they write to these is theirs, and counts."""
    total = 0
    for one in (pid, *below(pid)):
        with suppress(OSError, IndexError), open(f"/proc/{one}/statm", "rb") as statm:
            resident, shared = map(int, statm.read().split()[1:3])
            total += resident * _PAGE - min(shared * _PAGE, given)
    return total


MANY = 50  # corpses of strangers that do no harm
BURY_EVERY_S = 1.0
_buried_at = 0.0


def bury_orphans() -> None:
    """Let go of the corpses of orphans that this process took in, when there are many.

    A corpse may also be a child of the user's own whose exit code is still to be asked for, and
    the kernel does not tell them apart: those that Python knows of are left alone.
    """
    global _buried_at
    if monotonic() - _buried_at < BURY_EVERY_S:
        return
    _buried_at = monotonic()
    corpses = {pid for pid in children(os.getpid()) if state(pid) == "Z"}
    if len(corpses) < MANY:
        return
    for pid in corpses - own_children():
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def own_children() -> set[int]:
    """Children of this process that Python code still holds."""
    popen: Any = getattr(sys.modules.get("subprocess"), "Popen", ())  # not imported: nothing was started with it
    known = {one.pid for one in gc.get_objects() if isinstance(one, popen)}
    return known.union(trackers(), fork_servers(), *map(started_by, LIBRARIES))


LIBRARIES = ("multiprocessing", "multiprocess")


def started_by(library: str) -> set[int]:
    """Processes that this one has started with a library and not yet waited for."""
    process = sys.modules.get(f"{library}.process")
    return {one.pid for one in list(getattr(process, "_children", ())) if one.pid is not None}


def trackers() -> set[int]:
    """The helpers that take away semaphores when their process is gone: they are to outlive it."""
    return _helpers("resource_tracker", "_resource_tracker", "_pid")


def fork_servers() -> set[int]:
    return _helpers("forkserver", "_forkserver", "_forkserver_pid")


def _helpers(module: str, holder: str, attribute: str) -> set[int]:
    holders = [getattr(sys.modules.get(f"{library}.{module}"), holder, None) for library in LIBRARIES]
    pids = [getattr(one, attribute, None) for one in holders]
    return {pid for pid in pids if pid is not None}
