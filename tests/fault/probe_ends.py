"""P4: however a run is ended, from wherever it was started, nothing of it is left, soon, and the exit code says why.

Each cell is one run of `prun` under a warden: two calls hide processes (a session of its own, a double fork, SIGTERM
ignored) and hang; then it is signalled. Cells run one after the other, since they are timed.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGKILL, SIGTERM, Signals
from typing import Any

import fault_warden as warden
from fault_warden import HELD, NOT_HERE, Cell, NotHere, Verdict, descendants
from promise import ROOT, Found, main

LIMIT_S = 1.0  # until nothing is left
AFTER_SIGKILL_S = 2.0
PATIENCE_S = 10.0  # what is there then is left for good
DEADLINE_S = 60.0  # of a cell
CODES = {SIGINT: 130, SIGTERM: 143, SIGHUP: 129, SIGKILL: 137}
HERE = Path(__file__).parent

WAYS: Mapping[str, Mapping[str, str]] = {
    "default": {},
    "fork": {"backend": "multiprocessing", "start_method": "fork"},
    "spawn": {"backend": "multiprocessing", "start_method": "spawn"},
    "ppft": {"backend": "ppft"},
    "futures": {"backend": "futures"},
    "pathos": {"backend": "pathos"},
}


@dataclass
class Begun:
    """A `prun` that was started somewhere."""

    pid: int
    code: Callable[[], int | None]  # waits for its end; None: nobody can tell
    said: Callable[[], str] | None  # all of it, when it has ended; None: there is nobody to read it
    interrupt: Callable[[], None] | None = None  # how a person would press Ctrl-C here
    before: Callable[[], None] = lambda: None  # what happens just before the signal
    deaf_to: Sequence[Signals] = ()  # what it was told to ignore, as `nohup … &` tells it


Start = Callable[[list[str], Path], Begun]


# Where it is started from


def terminal(words: list[str], folder: Path) -> Begun:
    """A session of its own on a terminal of its own; Ctrl-C is a key there, which reaches all of the group."""
    process, master = _on_a_terminal(words)
    heard: list[bytes] = []
    reader = threading.Thread(target=_read_all, args=(master, heard), daemon=True)
    reader.start()

    def said() -> str:
        reader.join(5)
        return b"".join(heard).decode(errors="replace")

    return Begun(process.pid, process.wait, said, lambda: _ignore(os.write(master, b"\x03")))


def closed_terminal(words: list[str], folder: Path) -> Begun:
    """Its terminal closes: that is its SIGHUP. To be signalled otherwise it must have been told to outlive that."""
    process, master = _on_a_terminal(words)
    return Begun(process.pid, process.wait, None, before=lambda: os.close(master))


def closed_terminal_outlived(words: list[str], folder: Path) -> Begun:
    process, master = _on_a_terminal(words, lambda: _ignore(signal.signal(SIGHUP, signal.SIG_IGN)))
    return Begun(process.pid, process.wait, None, before=lambda: os.close(master))


def nohup(words: list[str], folder: Path) -> Begun:
    """`nohup prun … &`, by a shell, which starts it with SIGINT ignored."""
    shell = subprocess.Popen(
        [
            "sh",
            "-c",
            'nohup "$@" >nohup.out 2>&1 & echo $! >pid.new; mv pid.new pid; wait $!; echo $? >code',
            "sh",
            *words,
        ],
        stdin=subprocess.DEVNULL,
        process_group=0,
    )
    pid = int(_wait_for(folder / "pid"))

    def code() -> int:
        shell.wait()
        return int((folder / "code").read_text())

    return Begun(pid, code, (folder / "nohup.out").read_text, deaf_to=(SIGINT, SIGHUP))


def container(words: list[str], folder: Path) -> Begun:
    """As process 1 of a PID namespace, as in a container: a signal that it does not handle does not exist there."""
    return _first_process(["unshare", "--pid", "--fork", "--mount-proc"], words, folder)


def user_container(words: list[str], folder: Path) -> Begun:
    """The same in a user namespace, as containers without root have it."""
    return _first_process(["unshare", "-Urpf", "--mount-proc"], words, folder)


def orphan(words: list[str], folder: Path) -> Begun:
    """Whoever started it was killed."""
    warden.be_the_reaper()
    shell = subprocess.Popen(
        ["sh", "-c", '"$@" >out 2>&1 & echo $! >pid.new; mv pid.new pid; wait', "sh", *words],
        stdin=subprocess.DEVNULL,
        process_group=0,
        preexec_fn=_hears_everything,
    )
    pid = int(_wait_for(folder / "pid"))

    def lose_the_parent() -> None:
        shell.kill()
        shell.wait()

    def code() -> int:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    # A shell starts what is in the background deaf to Ctrl-C, whoever is its parent later.
    return Begun(pid, code, (folder / "out").read_text, before=lose_the_parent, deaf_to=(SIGINT,))


def pipes(words: list[str], folder: Path) -> Begun:
    """As a script starts it: a group of its own, its output in a file."""
    out = folder / "out"
    process = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=out.open("w"), stderr=subprocess.STDOUT, process_group=0
    )
    return Begun(process.pid, process.wait, out.read_text)


def _on_a_terminal(words: list[str], prepare: Callable[[], None] = lambda: None) -> tuple[subprocess.Popen[bytes], int]:
    master, slave = pty.openpty()

    def take_it() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        prepare()

    process = subprocess.Popen(
        words, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, preexec_fn=take_it
    )
    os.close(slave)
    return process, master


def _first_process(prefix: list[str], words: list[str], folder: Path) -> Begun:
    # A container has shared memory of its own, which goes with it. (`sh` becomes what it runs.)
    prefix = [*prefix, "sh", "-c", 'mount -t tmpfs tmpfs /dev/shm && exec "$@"', "sh"]
    if subprocess.run([*prefix, "true"], check=False, stderr=subprocess.DEVNULL).returncode:
        raise NotHere(f"this machine does not allow `{' '.join(prefix[:4])}`")
    begun = pipes([*prefix, *words], folder)
    begun.pid = _only_child(begun.pid)
    return begun


def _only_child(pid: int) -> int:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if children := Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            return int(children[0])
        os.sched_yield()
    raise TimeoutError("unshare has not forked")


def _wait_for(file: Path) -> str:
    deadline = time.monotonic() + PATIENCE_S
    while not file.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{file} has not come")
        os.sched_yield()
    return file.read_text()


def _read_all(descriptor: int, heard: list[bytes]) -> None:
    with suppress(OSError):  # a terminal whose other side is closed says EIO
        while piece := os.read(descriptor, 1 << 16):
            heard.append(piece)


def _hears_everything() -> None:
    for number in (SIGINT, SIGTERM, SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _ignore(_: object) -> None:
    """A result that nobody wants."""


# What is done to it


@dataclass(frozen=True)
class Cut:
    """One cell: how it is started, on which pool, what its calls do, and which signals come."""

    start: Start
    way: str
    numbers: tuple[Signals, ...]
    deed: str = "hide_and_hang"

    @property
    def name(self) -> str:
        return f"{self.kind} × {self.start.__name__} × {self.way}"

    @property
    def kind(self) -> str:
        """Under which figure it is told."""
        stuck = ", calls stuck in compiled code" if self.deed == "hold_the_lock" else ""
        late = " after the run" if self.deed == "print_slowly" else ""
        return f"{'second ' if len(self.numbers) > 1 else ''}{self.numbers[-1].name}{late}{stuck}"

    def __call__(self, cell: Cell) -> Iterator[str]:
        """Start it, cut it short, and tell what is not as promised."""
        shutil.copy(HERE / "fault_deeds.py", cell.folder)
        news_file, gate = cell.folder / "news", cell.folder / "gate"
        os.mkfifo(news_file)
        os.mkfifo(gate)
        news, _held = os.open(news_file, os.O_RDWR), os.open(gate, os.O_RDWR)
        stage = {"call": f"fault_deeds.py:{self.deed}", "over": {"range": 2}, "chunk": 1, "with": {"folder": "."}}
        stages = {"work": {**stage, **WAYS[self.way]}}
        (cell.folder / "pipeline.yaml").write_text(json.dumps({"version": 1, "name": "ends", "stages": stages}))
        os.environ |= {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
        begun = self.start([sys.executable, "-m", "pipeline_runner", "pipeline.yaml", "-j", "2"], cell.folder)
        heard = 0
        while heard < (1 if self.deed == "print_slowly" else 2):
            heard += len(os.read(news, 1))
        begun.before()
        began = time.monotonic()
        expected = self._send(begun)
        took_s, left = _until_nothing_is_left()
        cell.figures["took_s"] = took_s
        cell.figures["left"] = left + len(os.listdir(os.environ["TMPDIR"]))
        if cell.private:
            cell.figures["left"] += len(os.listdir("/dev/shm"))
        limit_s = AFTER_SIGKILL_S if SIGKILL in self.numbers else LIMIT_S
        if took_s > limit_s:
            yield f"after {time.monotonic() - began:.2f} s it was not gone, but after {took_s:.2f} s with {left} left"
        if left:
            return
        yield from self._judge(begun, expected)

    def _send(self, begun: Begun) -> Sequence[int]:
        """Send the signals; gives the exit codes that are right then."""
        deaf = [number for number in self.numbers if number in begun.deaf_to]
        if len(self.numbers) > 1:
            os.kill(begun.pid, signal.SIGSTOP)  # so that it finds both when it goes on
        for number in [*self.numbers, *([SIGTERM] if deaf else [])]:
            if number == SIGINT and begun.interrupt:
                begun.interrupt()
            else:
                os.kill(begun.pid, number)
        if len(self.numbers) > 1:
            os.kill(begun.pid, signal.SIGCONT)
        return [CODES[SIGTERM]] if deaf else [CODES[number] for number in self.numbers if number != SIGKILL]

    def _judge(self, begun: Begun, expected: Sequence[int]) -> Iterator[str]:
        code = begun.code()  # after SIGKILL it is the kernel's
        said = "" if begun.said is None else re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", begun.said())
        if expected and code not in expected:
            yield f"exit {code}, not {' or '.join(map(str, expected))}: {said[-2000:]}"
        if "Traceback" in said:
            yield f"a traceback is shown: {said[-2000:]}"
        last = (said.strip().splitlines() or [""])[-1]
        at_once = len(self.numbers) > 1 or self.deed == "print_slowly" or SIGKILL in self.numbers
        if begun.said is not None and not at_once and not re.search(r"prun .*--resume \S+$", last):
            yield f"its last line does not say how to go on: {last!r}"


def _until_nothing_is_left() -> tuple[float, int]:
    """How long it took until every process below the warden was gone but this one, and how many were left."""
    began = time.monotonic()
    while True:
        left = [pid for pid in descendants(os.getppid()) if pid != os.getpid()]
        took_s = time.monotonic() - began
        if not left or took_s > PATIENCE_S:
            return took_s, len(left)
        time.sleep(0.02)  # looking takes a core some milliseconds that the run needs for its end


def cuts() -> list[Cut]:
    """Every signal from everywhere on every pool; and twice, and late, and where compiled code holds Python's lock."""
    found = []
    for way in WAYS:
        for number in CODES:
            found += [Cut(start, way, (number,)) for start in (terminal, nohup, container, user_container, orphan)]
            found.append(Cut(closed_terminal if number == SIGHUP else closed_terminal_outlived, way, (number,)))
            found.append(Cut(pipes, way, (number,), "hold_the_lock"))
        found.append(Cut(pipes, way, (SIGINT, SIGTERM)))
    late = [Cut(pipes, "default", (number,), "print_slowly") for number in (SIGINT, SIGTERM, SIGHUP)]
    return found + late


def spread(cells: Sequence[Cut], size: int) -> list[Cut]:
    """So many of them, from all over."""
    step = next(step for step in range(len(cells) * 2 // 5, 0, -1) if _coprime(step, len(cells)))
    return [cells[at * step % len(cells)] for at in range(min(size, len(cells)))]


def _coprime(a: int, b: int) -> bool:
    while b:
        a, b = b, a % b
    return a == 1


def watch(cut: Cut) -> Verdict:
    """Run one, alone."""
    folder = Path(tempfile.mkdtemp(prefix="prun-ends-"))
    try:
        os.waitpid(warden.start(cut, cut.way, folder, DEADLINE_S), 0)
        return Verdict.load(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure(size: int) -> Found:
    verdicts = {cut: watch(cut) for cut in spread(cuts(), size)}
    asked = {cut: verdict for cut, verdict in verdicts.items() if verdict.word != NOT_HERE}
    figures: dict[str, Any] = {"runs ended": len(asked)}
    slowest: dict[str, float] = {}
    for cut, verdict in asked.items():
        slowest[cut.kind] = max(slowest.get(cut.kind, 0.0), verdict.figures.get("took_s", DEADLINE_S))
    figures |= {f"slowest after {kind}, s": round(slowest[kind], 2) for kind in sorted(slowest)}
    figures["left over"] = int(sum(verdict.figures.get("left", 0) for verdict in asked.values()))
    figures["not as promised"] = sum(verdict.word != HELD for verdict in asked.values())
    if len(asked) < len(verdicts):
        figures["not allowed on this machine"] = len(verdicts) - len(asked)
    wrong = [f"{cut.name}: {why}" for cut, verdict in asked.items() if verdict.word != HELD for why in verdict.why]
    return Found(figures, wrong)


if __name__ == "__main__":
    raise SystemExit(main("P4", measure, size=len(cuts()), about=__doc__))
