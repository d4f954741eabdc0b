"""Whole commands as a user types them: run in a folder, timed, and weighed when asked."""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from workload import HERE, Figures

PYTHON = sys.executable
BESIDE = Path(PYTHON).with_name("prun")
PRUN = [str(BESIDE)] if BESIDE.exists() else [PYTHON, "-m", "pipeline_runner"]
WORKERS = 2
EVERY_S = 0.03  # between two looks at the memory


def write(files: Mapping[str, str]) -> None:
    """Lay files in this folder, and the functions that all of them call."""
    for name, text in files.items():
        Path(name).write_text(text)
    shutil.copy(HERE / "work.py", "work.py")


def timed(words: Sequence[str], expect: int = 0, env: Mapping[str, str] | None = None) -> Figures:
    """Run a command; its figures are "s" and "cpu_s", and "pss_mb" and "root_mb" in a sample that weighs.

    What it wrote is in `said` and `complained`. Errors: RuntimeError, with its last words, at another exit code.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with open("said", "wb") as said, open("complained", "wb") as complained:
        began = time.perf_counter()
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=said, stderr=complained, env=os.environ | (env or {})
        )
        scale = Scale(process.pid) if os.environ.get("BENCH_WEIGH") else None
        code = process.wait()
        seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if code != expect:
        last = Path("complained").read_text(errors="replace").strip().splitlines()[-3:]
        raise RuntimeError(f"{Path(words[0]).name} exited with {code}: {' / '.join(last)}")
    cpu = sum(getattr(after, key) - getattr(before, key) for key in ("ru_utime", "ru_stime"))
    return {"s": seconds, "cpu_s": cpu} | (scale.end() if scale else {})


def script(text: str) -> Figures:
    """A Python program of its own, timed whole."""
    write({"way.py": text})
    return timed([PYTHON, "way.py"])


def said() -> str:
    return Path("said").read_text()


def middle(samples: Sequence[Figures]) -> Figures:
    """The median of each figure."""
    return {key: statistics.median(each[key] for each in samples) for key in samples[0]}


class Scale:
    """Samples the memory of a tree of processes (PSS: what is shared is shared out) until it is ended."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._most = {"pss_mb": 0.0, "root_mb": 0.0}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._ended.wait(EVERY_S):
            weights = {pid: pss_mb(pid) for pid in tree(self._root)}
            now = {"pss_mb": sum(weights.values()), "root_mb": weights.get(self._root, 0.0)}
            self._most = {key: max(value, now[key]) for key, value in self._most.items()}

    def end(self) -> Figures:
        self._ended.set()
        self._thread.join()
        return self._most


def pss_mb(pid: int) -> float:
    """What a process has in memory, its share of what it has in common with others; 0 when it is gone."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) / 1000
    except (OSError, StopIteration):
        return 0.0


def tree(root: int) -> Iterator[int]:
    """A process and all below it."""
    parents: dict[int, list[int]] = {}
    for pid in pids():
        try:
            parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        parents.setdefault(parent, []).append(pid)
    below = [root]
    for pid in below:  # grows while it is read
        below += parents.get(pid, [])
    return iter(below)


def pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())
