"""Watches over one cell of the sweep: a process of its own, a deadline, and whatever is left when it has ended.

The warden is a subreaper, so every descendant of the cell becomes its child sooner or later, whatever session,
group or parent it has left; it has a /dev/shm and a temporary folder of its own, so all that is in them is left over.
"""

from __future__ import annotations

import atexit
import ctypes
import faulthandler
import json
import os
import resource
import select
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
MS_RDONLY, MS_REMOUNT, MS_REC, MS_PRIVATE = 1, 32, 1 << 14, 1 << 18

GONE_S = 1.0  # for processes to be gone after the runner
HELD, REFUSED, NOT_HERE, FAILED, HUNG = "held", "refused", "not here", "failed", "hung"


@dataclass
class Verdict:
    """What is true of a cell."""

    word: str
    why: list[str] = field(default_factory=list)  # what was expected and is not so
    note: str = ""
    told: int = 0  # failures whose text had all that a reader needs
    untold: int = 0  # and those whose text had not
    seconds: float = 0.0
    left_s: float = 0.0  # until the last process was gone
    figures: dict[str, float] = field(default_factory=dict)  # what the cell counted or timed

    def save(self, folder: Path) -> None:
        (folder / "verdict.json").write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, folder: Path) -> Verdict:
        try:
            return cls(**json.loads((folder / "verdict.json").read_text()))
        except (OSError, ValueError) as error:
            return cls(FAILED, [f"its warden left no verdict: {error}"])


@dataclass
class Cell:
    """What a fault's function is given."""

    method: str
    folder: Path  # the pipeline's
    private: bool  # whether mounts are the warden's own
    note: str = ""
    told: int = 0
    untold: int = 0
    figures: dict[str, float] = field(default_factory=dict)

    def small_disk(self, kilobytes: int) -> Path:
        """An empty file system of its own."""
        disk = self.folder / "disk"
        disk.mkdir()
        _mount("tmpfs", disk, "tmpfs", 0, f"size={kilobytes}k")
        return disk

    def read_only(self, disk: Path, yes: bool) -> None:
        _mount("tmpfs", disk, "tmpfs", MS_REMOUNT | (MS_RDONLY if yes else 0), "")


class Refused(Exception):
    """The plan refuses the cell, with a reason."""


class NotHere(Exception):
    """This machine, or this kind of method, cannot be asked; with the reason."""


Run = Callable[[Cell], Sequence[str]]


def start(run: Run, method: str, folder: Path, deadline_s: float) -> int:
    """Watch over a cell in a process of its own; gives its pid. Its verdict is in the folder when it has ended."""
    pid = os.fork()
    if pid:
        return pid
    try:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        _watch(run, method, folder, deadline_s).save(folder)
    except BaseException:
        Verdict(FAILED, ["its warden broke: " + traceback.format_exc()]).save(folder)
    finally:
        os._exit(0)


def be_the_reaper() -> None:
    """Be the parent of every descendant whose own parent is gone."""
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1)


def _watch(run: Run, method: str, folder: Path, deadline_s: float) -> Verdict:
    os.setsid()
    be_the_reaper()
    signal.signal(signal.SIGTERM, lambda *_: (_kill(descendants(os.getpid())), os._exit(1)))
    cell = Cell(method, folder / "project", _private_mounts())
    cell.folder.mkdir(parents=True)
    temporary = folder / "tmp"
    temporary.mkdir()
    began = time.monotonic()
    pid = os.fork()
    if not pid:
        _be_the_cell(run, cell, folder, temporary)
    verdict = _wait(pid, folder, began + deadline_s)
    verdict.seconds = time.monotonic() - began
    verdict.left_s, survivors = _survivors(GONE_S)
    if verdict.word == HELD:
        verdict.why += [f"a process is left: {line}" for line in survivors]
        verdict.why += [f"a file is left in the temporary folder: {name}" for name in os.listdir(temporary)]
        if cell.private:
            verdict.why += [f"left in /dev/shm: {name}" for name in os.listdir("/dev/shm")]
        verdict.word = FAILED if verdict.why else HELD
    return verdict


def _be_the_cell(run: Run, cell: Cell, folder: Path, temporary: Path) -> None:
    """Run the fault, say what is not as it must be, and leave as an interpreter leaves."""
    silent, _kept_open = os.pipe()  # a stdin that never says anything, and never ends
    os.dup2(silent, 0)
    out = os.open(folder / "out", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", closefd=False)
    faulthandler.enable(sys.stderr)
    # As from a terminal: a sweep that is started by `nohup … &` has SIGINT and SIGHUP ignored, and would hand that down.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ |= {"TMPDIR": str(temporary), "PYTHONFAULTHANDLER": "1"}
    tempfile.tempdir = None
    os.chdir(cell.folder)
    try:
        verdict = Verdict(HELD, list(run(cell)))
        verdict.note, verdict.told, verdict.untold, verdict.figures = cell.note, cell.told, cell.untold, cell.figures
        verdict.word = FAILED if verdict.why else HELD
    except Refused as refused:
        verdict = Verdict(REFUSED, note=str(refused))
    except NotHere as reason:
        verdict = Verdict(NOT_HERE, note=str(reason))
    except BaseException:
        verdict = Verdict(FAILED, ["the cell broke: " + traceback.format_exc()])
    verdict.save(folder)
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(0)


def _wait(pid: int, folder: Path, deadline: float) -> Verdict:
    """The cell's own verdict; after the deadline, that it hangs, with the stacks of all its processes."""
    pidfd = os.pidfd_open(pid)
    ended, _, _ = select.select([pidfd], [], [], max(0.0, deadline - time.monotonic()))
    if ended:
        _, status = os.waitpid(pid, 0)
        if status:
            return Verdict(FAILED, [f"the runner died (status {os.waitstatus_to_exitcode(status)})"])
        return Verdict.load(folder)
    for each in [pid, *descendants(os.getpid())]:
        _try(os.kill, each, signal.SIGABRT)  # faulthandler answers it with every thread's stack
    time.sleep(0.3)
    written = [folder / "out", folder / "project" / "stderr"]  # the second is a `prun`'s own, in cells that start one
    stacks = "".join(file.read_text(errors="replace")[-20_000:] for file in written if file.exists())
    early = Verdict.load(folder) if (folder / "verdict.json").exists() else None
    said = f"its judgement was {early.word} {early.why}, but it did not leave" if early else "it never ended"
    return Verdict(HUNG, [said, stacks])


def _survivors(within_s: float) -> tuple[float, list[str]]:
    """How long it took until all descendants were gone, or those that are still there, which are then killed."""
    began = time.monotonic()
    while True:
        _reap()
        left = descendants(os.getpid())
        waited = time.monotonic() - began
        if not left or waited > within_s:
            break
        time.sleep(0.01)
    lines = [_command(pid) for pid in left]
    while left:
        _kill(left)
        time.sleep(0.01)
        _reap()
        left = descendants(os.getpid())
    return waited, lines


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def descendants(top: int) -> list[int]:
    """Every process below this one that is more than a corpse."""
    children: dict[int, list[int]] = {}
    corpses: set[int] = set()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                state, parent = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            children.setdefault(int(parent), []).append(int(entry))
            corpses |= {int(entry)} if state == "Z" else set()
    found, todo = [], [top]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below  # of corpses too: the first thread of a process may be one before its children change hands
    return [pid for pid in found if pid not in corpses]


def _kill(pids: Sequence[int]) -> None:
    for pid in pids:
        _try(os.kill, pid, signal.SIGKILL)


def _try(deed: Callable[..., object], *arguments: object) -> None:
    with suppress(OSError):
        deed(*arguments)


def _command(pid: int) -> str:
    try:
        words = Path("/proc", str(pid), "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return f"{pid} (gone now)"
    return f"{pid} {' '.join(words)[:150]}"


def _private_mounts() -> bool:
    """Have mounts of our own, and an empty /dev/shm. False: this machine does not let us."""
    user, group = os.getuid(), os.getgid()
    if user and _libc.unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    elif user or _libc.unshare(CLONE_NEWNS):
        return False
    try:
        _mount("none", Path("/"), "", MS_REC | MS_PRIVATE, "")
        _mount("tmpfs", Path("/dev/shm"), "tmpfs", 0, "size=256m")
    except OSError:
        return False
    return True


def _mount(source: str, target: Path, kind: str, flags: int, options: str) -> None:
    if _libc.mount(source.encode(), str(target).encode(), kind.encode() or None, flags, options.encode() or None):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))
