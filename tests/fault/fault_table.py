"""The table of faults: what is done to a run, and what must be true of it then.

Each fault is one row with one function, which gives what is not as promised: nothing, when all is well.
"""

from __future__ import annotations

import io
import json
import logging
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import fault_deeds as deeds
from fault_warden import Cell, NotHere, Refused, Run, descendants

from pipeline_runner import Pipeline, events
from pipeline_runner.axes import Dispatch, Style
from pipeline_runner.backends import table
from pipeline_runner.calls import Cause
from pipeline_runner.errors import Problems
from pipeline_runner.reporters.screen import Lines
from pipeline_runner.reporters.summary import summary

ITEMS = 12
WORKERS = 2
REPETITIONS = 20
LEAVE_S = 1.0  # for a runner that was signalled
HERE = Path(__file__).parent
ROOT = HERE.parent.parent


@dataclass(frozen=True)
class Fails:
    """What must be told of the one bad item."""

    cause: Cause
    type: str
    says: str  # a pattern that its message has
    tries: int = 1


@dataclass(frozen=True)
class Task:
    """A deed of the bad item. `fails` None: it completes like the others."""

    deed: str
    fails: Fails | None = None
    keys: Mapping[str, Any] = field(default_factory=dict)  # of the stage
    given: Callable[[Cell], Any] | None = None  # context manager around the run, gives the stage's `with`
    value: Callable[[int, Cell], Any] = lambda item, _: deeds.value(item)
    retried: int | None = 0  # how often the bad item is tried again; None: as often as it needs


@dataclass(frozen=True)
class Fault:
    """One row."""

    name: str
    run: Run
    in_process: str = ""  # why it cannot be asked of calls that run in the runner itself; empty: it can
    timed: bool = False  # so nothing runs beside it


def tasks(*several: Task) -> Run:
    """Run each task in a pipeline of its own, and judge all."""

    def run(cell: Cell) -> list[str]:
        return [wrong for task in several for wrong in judge(task, cell)]

    return run


# Faults of a task, by the Python interface


def stage(cell: Cell, deed: str, keys: Mapping[str, Any]) -> dict[str, Any]:
    """The one stage of every pipeline here."""
    method = table().methods[cell.method]
    rows = method.style is Style.STAR and Style.MAP not in method.styles
    over: Any = [[item] for item in range(ITEMS)] if rows else {"range": ITEMS}
    returns = {} if method.name != "multiprocessing.Process" else {"returns": "list"}
    return {"call": f"fault_deeds.py:{deed}", "over": over, "method": cell.method, **returns, **keys}


def judge(task: Task, cell: Cell) -> Iterator[str]:
    """What is not as promised."""
    shutil.copy(HERE / "fault_deeds.py", cell.folder)
    heard: list[events.Event] = []
    with task.given(cell) if task.given else nullcontext() as given:
        keys = {"on_error": "skip", **task.keys, **({"with": given} if given else {})}
        text = json.dumps({"version": 1, "name": "fault", "stages": {"work": stage(cell, task.deed, keys)}})
        try:
            result = Pipeline.from_text(text, folder=cell.folder).run(workers=WORKERS, on_event=heard.append)
        except Problems as problems:
            raise Refused(str(problems.problems[0].sentence())) from problems
    skipped = {deeds.BAD} if task.fails else set()
    yield from _judge_values(result["work"], [task.value(i, cell) for i in range(ITEMS) if i not in skipped])
    done = sorted(index for event in heard if isinstance(event, events.CallsDone) for index in event.indices)
    if done != [item for item in range(ITEMS) if item not in skipped]:
        yield f"calls that were told to be done: {done}"
    again = [event.index for event in heard if isinstance(event, events.CallRetried)]
    if again != [deeds.BAD] * (len(again) if task.retried is None else task.retried):
        yield f"calls that were tried again: {again}"
    if task.fails is None:
        yield from (f"failed, though it need not: {failed}" for failed in result.failures)
        return
    if [failed.index for failed in result.failures] != [deeds.BAD]:
        yield f"failed: {[str(failed) for failed in result.failures]}"
        return
    yield from _judge_failure(task.fails, result.failures[0], cell)
    untold = list(_judge_text(task.fails, result.state))
    cell.told += not untold
    cell.untold += bool(untold)
    yield from untold


def _judge_values(got: Sequence[Any], expected: Sequence[Any]) -> Iterator[str]:
    if sorted(got, key=repr) != sorted(expected, key=repr):
        yield f"the values are {list(got)}, not {list(expected)}"


def _judge_failure(fails: Fails, failed: events.CallFailed, cell: Cell) -> Iterator[str]:
    failure = failed.failure
    if (failed.stage, failure.cause, failure.type, failed.tries) != ("work", fails.cause, fails.type, fails.tries):
        yield f"it is told as {failure.cause} {failure.type} in stage {failed.stage} after {failed.tries} tries"
    if not re.search(fails.says, failure.message):
        yield f"its message is {failure.message!r}, without {fails.says!r}"
    in_process = table().owners[cell.method].in_process
    if "said" in {each.name for each in fields(failed)} and not in_process:
        said = failed.said  # type: ignore[attr-defined]
        if not any(deeds.LAST_WORDS in str(line) for line in said):
            yield f"its last words are not told, but {said}"


def _judge_text(fails: Fails, state: Any) -> Iterator[str]:
    """The sentence that a person reads has all that they need."""
    told = io.StringIO()
    summary(state, Lines(told), stages=False)
    text = told.getvalue()
    wanted = ['stage "work"', fails.type, f"call {deeds.BAD} ", rf"given \[?{deeds.BAD}\]?[ :,]", fails.says]
    if fails.tries > 1:
        wanted.append(f"{fails.tries} tries")
    yield from (f"the text does not tell {want!r}: {text}" for want in wanted if not re.search(want, text))


def stubborn_trees(cell: Cell) -> Iterator[str]:
    """Twenty times a call that hangs and has a grandchild that left its session and parent and ignores SIGTERM."""
    shutil.copy(HERE / "fault_deeds.py", cell.folder)
    limit_s = 1.0
    keys = {"on_error": "skip", "timeout": f"{limit_s:g}s", "over": {"range": REPETITIONS}}
    stages = {"work": stage(cell, "hang_with_a_stubborn_grandchild", keys)}
    began: dict[int, float] = {}
    took_s: dict[int, float] = {}

    def hear(event: events.Event) -> None:
        if isinstance(event, events.ChunkStarted):
            began[event.first] = time.monotonic()
        if isinstance(event, events.CallFailed):
            took_s[event.index] = time.monotonic() - began[event.index]

    text = json.dumps({"version": 1, "name": "fault", "stages": stages})
    result = Pipeline.from_text(text, folder=cell.folder).run(workers=4, on_event=hear)
    survivors = len(stubborn_ones())
    slowest_s = max(took_s.values(), default=0.0)
    over_s = round(slowest_s - limit_s, 2)
    cell.figures |= {"trees": len(took_s), "survivors": survivors, "slowest after the timeout, s": over_s}
    if [failed.failure.cause for failed in result.failures] != [Cause.TIMEOUT] * REPETITIONS:
        yield f"failures: {[str(failed) for failed in result.failures]}"
    if survivors or over_s > 1.0:
        yield f"{survivors} survivors, the slowest {over_s} s after the timeout"


def stubborn_ones() -> list[int]:
    """Those grandchildren that are still there."""
    found = []
    for pid in descendants(os.getppid()):
        with suppress(OSError):
            if Path("/proc", str(pid), "comm").read_text().strip() == deeds.STUBBORN:
                found.append(pid)
    return found


@contextmanager
def own_folder(cell: Cell) -> Iterator[dict[str, str]]:
    (cell.folder / "died").unlink(missing_ok=True)
    yield {"folder": str(cell.folder)}


@contextmanager
def little_memory(cell: Cell) -> Iterator[dict[str, str]]:
    """A control group in which the kernel ends whoever grows."""
    root = Path("/sys/fs/cgroup")
    v1 = (root / "memory").is_dir()
    group = (root / "memory" if v1 else root) / f"prun-fault-{os.getpid()}"
    try:
        group.mkdir()
        (group / ("memory.limit_in_bytes" if v1 else "memory.max")).write_text(str(48 << 20))
    except OSError as error:
        raise NotHere(f"here no memory control group can be made: {error}") from error
    try:
        yield {"cgroup": str(group)}
    finally:
        with suppress(OSError):
            group.rmdir()


@contextmanager
def locks_held(_: Cell) -> Iterator[None]:
    """A thread of the runner has the locks that calls will want, for the whole run."""
    handler = logging.StreamHandler()
    logging.getLogger().addHandler(handler)
    taken, over = threading.Event(), threading.Event()

    def hold() -> None:
        handler.acquire()
        with deeds.LOCK:
            taken.set()
            over.wait()
        handler.release()

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait()
    try:
        yield
    finally:
        over.set()
        thread.join()


def surroundings(item: int, cell: Cell) -> list[Any]:
    umask = os.umask(0o22)
    os.umask(umask)
    return [deeds.value(item), str(cell.folder), None, f"{umask:04o}", True]


# Faults of the run, by the command line


@dataclass(frozen=True)
class Ended:
    """What a `prun` left of itself."""

    code: int
    out: str
    err: str
    took_s: float


class Command:
    """A `prun` of its own session, on a pipeline of twelve items."""

    def __init__(
        self, cell: Cell, deed: str = "work", *, folder: Path | None = None, workers: int = WORKERS, **keys: Any
    ):
        self.folder = folder or cell.folder
        shutil.copy(HERE / "fault_deeds.py", self.folder)
        stages = {"work": stage(cell, deed, keys)}
        (self.folder / "pipeline.yaml").write_text(json.dumps({"version": 1, "name": "fault", "stages": stages}))
        # Files, and not pipes: whoever is left behind cannot keep us waiting, and they are there after a hang.
        self._out, self._err = cell.folder / "stdout", cell.folder / "stderr"
        self._words = [sys.executable, "-m", "pipeline_runner", "pipeline.yaml", "--json", "-j", str(workers)]

    def start(self, *words: str, descriptors: int | None = None) -> None:
        limit = (
            None if descriptors is None else (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors,) * 2))
        )
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [*self._words, *words],
            cwd=self.folder,
            stdout=self._out.open("w"),
            stderr=self._err.open("w"),
            process_group=0,
            preexec_fn=limit,
            env=os.environ | {"PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "200"},
        )

    def end(self) -> Ended:
        self.process.wait()
        took_s = time.monotonic() - self.began
        return Ended(self.process.returncode, self._out.read_text(), self._err.read_text(), took_s)

    def run(self, *words: str, **how: Any) -> Ended:
        self.start(*words, **how)
        return self.end()


def complete(ended: Ended) -> Iterator[str]:
    """All twelve, and nothing but well."""
    if ended.code:
        yield f"exit {ended.code}: {ended.err[-2000:]}"
        return
    told = json.loads(ended.out)
    yield from _judge_values(told["stages"]["work"]["value"], [deeds.value(item) for item in range(ITEMS)])


def baseline(cell: Cell) -> Iterator[str]:
    ended = Command(cell).run()
    cell.note = f"{ended.took_s:.1f} s"
    yield from complete(ended)


def few_descriptors(cell: Cell) -> Iterator[str]:
    """64 are enough, or it says in a line that they are not; after the cure it goes."""
    command = Command(cell, workers=16)
    ended = command.run(descriptors=64)
    if ended.code == 0:
        cell.note = "completes"
        yield from complete(ended)
        return
    cell.note = "told"
    yield from short_of(ended, "descriptors|open files", "ulimit -n|64")
    yield from complete(command.run())


def full_disk(cell: Cell) -> Iterator[str]:
    yield from bad_disk(cell, "no space|full", fill=True)


def read_only_disk(cell: Cell) -> Iterator[str]:
    yield from bad_disk(cell, "read-only", fill=False)


def bad_disk(cell: Cell, told_as: str, *, fill: bool) -> Iterator[str]:
    """Nothing can be written where the pipeline is: it needs not, or says so in a line; after the cure it goes."""
    if not cell.private:
        raise NotHere("here no file system can be mounted")
    disk = cell.small_disk(256)
    command = Command(cell, folder=disk)
    ballast = disk / "ballast"
    if fill:
        with suppress(OSError), open(ballast, "wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
    else:
        cell.read_only(disk, True)
    ended = command.run()
    if fill:
        ballast.unlink()
    else:
        cell.read_only(disk, False)
    if ended.code == 0:
        cell.note = "completes"
        yield from complete(ended)
    else:
        cell.note = "told"
        yield from short_of(ended, told_as, str(disk))
    # The store has room now, as a disk has that was cleared.
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
    yield from complete(command.run())


def short_of(ended: Ended, *patterns: str) -> Iterator[str]:
    """It ended for want of something, in words and not in a traceback."""
    if ended.code not in (1, 4):
        yield f"exit {ended.code}"
    if "Traceback" in ended.err:
        yield f"a traceback is shown: {ended.err[-2000:]}"
    for pattern in patterns:
        if not re.search(pattern, ended.err, re.IGNORECASE):
            yield f"the message has no {pattern!r}: {ended.err[-1500:]}"


def signalled(number: int, code: int, *, group: bool = False) -> Run:
    """Send a signal while calls are at work; when it has ended, go on with what it owes."""

    def run(cell: Cell) -> Iterator[str]:
        news_file = cell.folder / "news"
        os.mkfifo(news_file)
        news = os.open(news_file, os.O_RDWR)
        command = Command(cell, "wait_behind_a_gate", chunk=1, **{"with": {"folder": str(cell.folder)}})
        command.start()
        heard = 0
        while heard < at_once(cell.method):
            heard += len(os.read(news, 1))
        began = time.monotonic()
        (os.killpg if group else os.kill)(command.process.pid, number)
        if number == signal.SIGKILL:
            yield from gone_within(2.0, command.process.pid, cell)
        else:
            ended = command.end()
            took_s = time.monotonic() - began
            cell.note = f"{took_s:.2f} s"
            yield from left_in_order(ended, took_s, code)
        os.close(news)
        (cell.folder / "gate-is-open").touch()
        yield from complete(
            Command(cell, "wait_behind_a_gate", chunk=1, **{"with": {"folder": str(cell.folder)}}).run("--resume")
        )
        times = Counter(int(line) for line in (cell.folder / "began").read_text().split())
        # What had ended a moment before a SIGKILL may not have been written yet.
        twice = [item for item in range(deeds.FREE) if times[item] > (2 if number == signal.SIGKILL else 1)]
        if twice:
            yield f"ran again though they had ended: {twice}"

    return run


def at_once(method: str) -> int:
    """How many calls of it are at work side by side."""
    serial = table().methods[method].dispatch is Dispatch.BLOCKING or not table().methods[method].parallel
    return 1 if serial else WORKERS


def left_in_order(ended: Ended, took_s: float, code: int) -> Iterator[str]:
    if took_s > LEAVE_S:
        yield f"it took {took_s:.2f} s to leave"
    if ended.code != code:
        yield f"exit {ended.code}, not {code}: {ended.err[-2000:]}"
    if "Traceback" in ended.err:
        yield f"a traceback is shown: {ended.err[-2000:]}"
    if "--resume" not in (ended.err.strip().splitlines() or [""])[-1]:
        yield f"its last line does not say how to go on: {ended.err[-300:]}"


def gone_within(limit_s: float, runner: int, cell: Cell) -> Iterator[str]:
    """The runner cannot clean up any more: its workers notice, and end."""
    began = time.monotonic()
    os.waitpid(runner, 0)
    while (
        left := [pid for pid in descendants(os.getppid()) if pid != os.getpid()]
    ) and time.monotonic() - began < limit_s:
        time.sleep(0.01)
    cell.note = f"{time.monotonic() - began:.2f} s"
    if left:
        yield f"{len(left)} processes are left after {cell.note}"


LOST, RAISED, RESULT = Cause.LOST, Cause.RAISED, Cause.RESULT
DIES = "the call ends its own process, which is the runner"
ONE_PROCESS = "the calls and the runner are one process"
OVERDUE = Task("hang", Fails(Cause.TIMEOUT, "Timeout", "still running after 2 s"), {"timeout": "2s"})

FAULTS = (
    Fault("baseline", baseline),
    Fault("raise", tasks(Task("raise_it", Fails(RAISED, "ValueError", "no 5 today")))),
    Fault("SIGKILL", tasks(Task("be_killed", Fails(LOST, "WorkerDied", "signal 9", 2), {"retry": 1}, retried=1)), DIES),
    Fault(
        "SIGKILL on the first try",
        tasks(
            Task("be_killed_once", None, {"retry": 1, "chunk": 1}, own_folder, retried=1),
            # Who of several calls is to blame shows when they run again; the one death was nobody's try.
            Task("be_killed_once", None, {"retry": 1}, own_folder, retried=None),
        ),
        DIES,
    ),
    Fault("SIGSEGV", tasks(Task("crash", Fails(LOST, "WorkerDied", "signal 11"))), DIES),
    Fault(
        "out of memory",
        tasks(
            Task("want_too_much", Fails(RAISED, "MemoryError", ""), {"setup": "fault_deeds.py:little_memory"}),
            Task("be_killed_for_memory", Fails(LOST, "WorkerDied", "signal 9.*out of memory"), {}, little_memory),
        ),
        DIES,
    ),
    Fault("os._exit(0)", tasks(Task("leave_at_once", Fails(LOST, "WorkerDied", "exit code 0"))), DIES),
    Fault("sys.exit(3)", tasks(Task("leave", Fails(RAISED, "SystemExit", "3")))),
    Fault("KeyboardInterrupt", tasks(Task("interrupt", Fails(RAISED, "KeyboardInterrupt", "")))),
    Fault("unpicklable result", tasks(Task("unpicklable", Fails(RESULT, "TypeError", "generator")))),
    Fault("unreadable result", tasks(Task("unreadable", Fails(RESULT, "RuntimeError", "cannot be read back")))),
    Fault(
        "exception of two arguments",
        tasks(Task("raise_two_arguments", Fails(RAISED, "TwoArguments", "5 and more"))),
    ),
    Fault("unpicklable exception", tasks(Task("raise_unsendable", Fails(RAISED, "Unsendable", "cannot be sent")))),
    Fault("result nested 100,000 deep", tasks(Task("nested", Fails(RESULT, "RecursionError", "recursion")))),
    Fault("deep recursion", tasks(Task("recurse", Fails(RAISED, "RecursionError", "recursion")))),
    Fault("hang", tasks(OVERDUE)),
    Fault("hang with a child", tasks(Task("hang_with_a_child", OVERDUE.fails, OVERDUE.keys))),
    Fault("SIGSTOP", tasks(Task("stop_itself", OVERDUE.fails, OVERDUE.keys)), DIES),
    Fault("grandchild left behind", tasks(Task("leave_a_grandchild")), "it is a child of the program itself"),
    Fault("opens a pool", tasks(Task("open_a_pool"))),
    Fault("non-daemon thread", tasks(Task("leave_a_thread")), "a thread of the runner keeps the runner"),
    Fault("reads stdin", tasks(Task("read_stdin", Fails(RAISED, "EOFError", "EOF"))), "stdin is the runner's own"),
    Fault("chdir, environ, umask", tasks(Task("change_its_surroundings", value=surroundings)), ONE_PROCESS),
    Fault("lock held across fork", tasks(Task("take_locks", given=locks_held)), ONE_PROCESS),
    Fault("100 MB of stdout", tasks(Task("flood"))),
    Fault("64 descriptors, 16 workers", few_descriptors),
    Fault("full disk", full_disk),
    Fault("read-only disk", read_only_disk),
    Fault("Ctrl-C", signalled(signal.SIGINT, 130, group=True), timed=True),
    Fault("SIGTERM", signalled(signal.SIGTERM, 143), timed=True),
    Fault("SIGHUP", signalled(signal.SIGHUP, 129), timed=True),
    Fault("SIGKILL to the runner", signalled(signal.SIGKILL, -9), timed=True),
)

TREES = Fault("a timeout kills the whole tree", stubborn_trees, DIES, timed=True)
"""Asked of one method only: the way is the same for all."""
