"""A project in a folder of its own, which storms run, kill and damage, and what its runs should give."""

from __future__ import annotations

import contextlib
import os
import pickle
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from pipeline_runner.backends import table
from pipeline_runner.errors import PipelineError
from pipeline_runner.pipeline import Pipeline

REPOSITORY = Path(__file__).resolve().parents[2]
DEADLINE_S = 60  # of one child

WORK = """
import os, time
from pathlib import Path

HERE = Path(__file__).parent

def note(*told):
    with open(HERE / "made", "ab", buffering=0) as file:
        file.write((" ".join(map(str, told)) + chr(10)).encode())

def square(x):
    note("a", x)
    time.sleep(PAUSE)
    return x * x

def save(x):
    note("b", x)
    whole = f"value {x}" * 20
    with open(HERE / "out" / str(x), "w", buffering=1) as file:
        file.write(whole[:50])
        file.flush()
        time.sleep(PAUSE)
        file.write(whole[50:])
    return x + 1

def big(x):
    note("c", x)
    return bytes([x % 256]) * 300_000

def total(values, sizes=()):
    note("t")
    return [sum(values), [len(value) for value in sizes]]
"""


class Site:
    """A project in a folder of its own, with its own key."""

    def __init__(self, pause_s: float = 0.0) -> None:
        self.top = Path(tempfile.mkdtemp(prefix="prun-storm-"))
        self.folder = self.top / "project"
        (self.folder / "out").mkdir(parents=True)
        self.file = self.folder / "pipeline.yaml"
        self.state = self.folder / ".prun"
        self.env = os.environ | {"XDG_CONFIG_HOME": str(self.top / "config"), "PYTHONPATH": str(REPOSITORY)}
        self.env.pop("PRUN_STATE", None)
        self.functions(WORK.replace("PAUSE", str(pause_s)))

    def __enter__(self) -> Site:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.top, ignore_errors=True)

    def functions(self, text: str) -> None:
        (self.folder / "work.py").write_text(text)

    def stages(self, stages: dict[str, Any], **top: Any) -> None:
        self.file.write_text(yaml.safe_dump({"version": 1, "stages": stages, **top}, sort_keys=False))

    def made(self) -> list[str]:
        """Calls that were begun since this was asked last."""
        file = self.folder / "made"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return lines

    def prun(self, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pipeline_runner", str(self.file), "--json", "-q", *words],
            cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=DEADLINE_S, check=False, **more,
        )  # fmt: skip

    def forked(self, prepare: Callable[[], None] = lambda: None, **options: Any) -> tuple[str, Any]:
        """Run it in a forked child of ours: ("done", values) · ("error", (exit code, text)) · ("killed", signal)."""
        table()  # imported once, and not by each child
        answer = self.top / "answer"
        answer.unlink(missing_ok=True)
        pid = os.fork()
        if pid == 0:
            self._child(answer, prepare, options)
        _, status = os.waitpid(pid, 0)
        if answer.exists():
            told: tuple[str, Any] = pickle.loads(answer.read_bytes())
            return told
        return "killed", os.waitstatus_to_exitcode(status)

    def _child(self, answer: Path, prepare: Callable[[], None], options: dict[str, Any]) -> None:
        signal.alarm(DEADLINE_S)
        os.environ.clear()
        os.environ.update(self.env)
        try:
            prepare()
            try:
                result = Pipeline.load(self.file).run(**options)
                told: tuple[str, Any] = str(result.status), (dict(result) if result.exit_code == 0 else None)
            except PipelineError as error:
                told = "error", (error.exit_code, str(error))
            except Exception as error:
                told = "bug", (1, repr(error))
            aside = answer.with_suffix(".new")
            aside.write_bytes(pickle.dumps(told))
            os.replace(aside, answer)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)


SERIAL = {
    "a": {"call": "work:square", "over": list(range(12)), "backend": "serial", "chunk": 2},
    "b": {"call": "work:save", "over": "${stages.a}", "backend": "threads", "chunk": 2},
    "c": {"call": "work:big", "over": {"range": 4}, "backend": "serial", "chunk": 1},
    "t": {"call": "work:total", "with": {"values": "${stages.b}", "sizes": "${stages.c}"}, "backend": "serial"},
}

EXPECTED = {
    "a": [n * n for n in range(12)],
    "b": [n * n + 1 for n in range(12)],
    "c": [bytes([n]) * 300_000 for n in range(4)],
    "t": [sum(n * n + 1 for n in range(12)), [300_000] * 4],
}
CALL: dict[str, Callable[[int], str]] = {  # what a stage's n-th call notes when it is made
    "a": lambda n: f"a {n}",
    "b": lambda n: f"b {n * n}",
    "c": lambda n: f"c {n}",
    "t": lambda n: "t",
}


def has_run(site: Site) -> bool:
    """Whether the journal knows of any run. Asked of a copy: to open a database mends it, and prun is to do that."""
    with tempfile.TemporaryDirectory(dir=site.top) as folder:
        for path in site.state.glob("journal.db*"):
            shutil.copy(path, folder)
        with contextlib.closing(sqlite3.connect(Path(folder) / "journal.db")) as connection:
            try:
                return bool(connection.execute("SELECT 1 FROM run").fetchone())
            except sqlite3.DatabaseError:
                return False  # killed before it made the tables, or damaged


def rows(site: Site) -> sqlite3.Connection:
    return sqlite3.connect(site.state / "journal.db", isolation_level=None)


def wait_for(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not there():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {DEADLINE_S} s")
        time.sleep(0.01)
