"""P11: whatever is wrong with what `prun` is given, it says so in words, and exits with the code that stands for it.

Each bad input is a real `prun` in a folder of its own, with a good pipeline and one run of it in the store. 2: YAML,
parameters or usage; 1: a stage failed; 3: failures were skipped; 4: the store cannot be used.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL

from promise import ROOT, Found, main

from pipeline_runner.record.store import MARK

DEADLINE_S = 30
GOOD = """\
version: 1
params: {top: 3}
stages:
  double: {call: "deeds:double", over: {range: "${params.top}"}}
"""
DEEDS = """\
def double(x): return x * 2
def refuse(x): raise ValueError(f"no {x} today")
def leave(x): raise SystemExit(7)
"""


def pipeline(stage: str, top: str = "") -> str:
    return f"version: 1\n{top}stages:\n  work: {{{stage}}}\n"


@dataclass(frozen=True, eq=False)
class Bad:
    """One bad input."""

    name: str
    code: int
    words: str = "bad.yaml"
    file: str | bytes | None = None  # what bad.yaml is
    prepare: Callable[[Path], object] = lambda folder: None
    env: dict[str, str] = field(default_factory=dict)
    out: str | None = None  # where its stdout goes


def later_version(folder: Path) -> None:
    """The journal says that a prun of some other day wrote it."""
    database = sqlite3.connect(folder / ".prun" / "journal.db")
    database.execute("PRAGMA user_version = 999")
    database.execute(f"PRAGMA application_id = {MARK + 999}")
    database.commit()
    database.close()


def no_folder(place: str) -> Callable[[Path], None]:
    """In place of a folder or file there is the other of both."""

    def change(folder: Path) -> None:
        path = folder / place
        if path.is_dir():
            shutil.rmtree(path)
            path.write_text("not a folder")
        else:
            path.unlink(missing_ok=True)
            path.mkdir(parents=True)

    return change


def deep(opening: str, closing: str, depth: int) -> str:
    return f"version: 1\nstages: {opening * depth}{closing * depth}\n"


def bomb() -> str:
    lines = ["version: 1", "x-a: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9]"]
    lines += [f"x-{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    return "\n".join([*lines, "stages: *a11", ""])


FILES = (
    Bad("no such file", 2, "missing.yaml"),
    Bad("a folder", 2, "."),
    Bad("an endless device", 2, "/dev/zero"),
    Bad("nothing in it", 2, file=""),
    Bad("noise", 2, file=bytes(range(256)) * 16),
    Bad("another encoding", 2, file="version: 1\nname: Grüße\n".encode("latin-1")),
    Bad("UTF-16", 2, file=GOOD.encode("utf-16")),
    Bad("a NUL", 2, file=GOOD + "\0"),
    Bad("a tab", 2, file="version: 1\nstages:\n\twork: {call: 'deeds:double'}\n"),
    Bad("no end of a quote", 2, file='version: 1\nname: "half\n'),
    Bad("50,000 brackets", 2, file=deep("[", "", 50_000)),
    Bad("1,000 braces, all closed", 2, file=deep("{a: ", "}", 1_000)),
    Bad("aliases that expand to billions", 2, file=bomb()),
    Bad("an alias of itself", 2, file="version: 1\nstages: &a {work: *a}\n"),
    Bad("a tag", 2, file="version: 1\nstages: !!python/object/apply:os.system ['true']\n"),
    Bad("only text", 2, file="hello"),
    Bad("no stages", 2, file="version: 1\n"),
    Bad("a key twice", 2, file=GOOD + "stages: {}\n"),
    Bad("another version", 2, file=GOOD.replace("1", "99", 1)),
    Bad("a link to itself", 2, prepare=lambda folder: (folder / "bad.yaml").symlink_to("bad.yaml")),
    Bad("a name of 5,000 letters", 2, "x" * 5000 + ".yaml"),
)
STAGES = (
    Bad("an unknown key", 2, file=pipeline('call: "deeds:double", dispach: async')),
    Bad("an unknown method", 2, file=pipeline('call: "deeds:double", over: [1], method: multiprocessing.Pool.mop')),
    Bad("a method that contradicts", 2, file=pipeline('call: "deeds:double", over: [1], method: multiprocessing.Pool.imap, dispatch: blocking')),
    Bad("a circle", 2, file="version: 1\nstages:\n  a: {call: 'deeds:double', needs: b}\n  b: {call: 'deeds:double', needs: a}\n"),
    Bad("an unknown parameter", 2, file=pipeline('call: "deeds:double", over: "${params.folder}"')),
    Bad("a retry that is no number", 2, file=pipeline('call: "deeds:double", over: [1], retry: often')),
    Bad("a timeout that is no time", 2, file=pipeline('call: "deeds:double", over: [1], timeout: soon')),
    Bad("a memory of nothing", 2, file=pipeline('call: "deeds:double", over: [1], memory: 0')),
    Bad("infinitely many workers", 2, file=GOOD + "workers: .inf\n"),
    Bad("a call that raises", 1, file=pipeline('call: "deeds:refuse", over: [1, 2]')),
    Bad("a call that leaves", 1, file=pipeline('call: "deeds:leave", over: [1, 2]')),
    Bad("calls that are skipped", 3, file=pipeline('call: "deeds:refuse", over: [1, 2], on_error: skip')),
    Bad("no such module", 2, file=pipeline('call: "nowhere:double", over: [1]')),
    Bad("no such function", 2, file=pipeline('call: "deeds:treble", over: [1]')),
    Bad("lines of no file", 2, file=pipeline('call: "deeds:double", over: {lines: missing.txt}')),
    Bad("rows of a folder", 2, file=pipeline('call: "deeds:double", over: {csv: "."}')),
)  # fmt: skip
WORDS = (
    Bad("an unknown flag", 2, "good.yaml --fast"),
    Bad("no workers", 2, "good.yaml -j 0"),
    Bad("workers that are no number", 2, "good.yaml -j many"),
    Bad("a parameter that is not there", 2, "good.yaml -p bottom=1"),
    Bad("a parameter of another type", 2, "good.yaml -p top=many"),
    Bad("a parameter without a value", 2, "good.yaml -p top"),
    Bad("no parameters' file", 2, "good.yaml --params missing.yaml"),
    Bad("parameters that are a list", 2, "good.yaml --params bad.yaml", "[1, 2]"),
    Bad("parameters that are broken", 2, "good.yaml --params bad.yaml", "{top: 1"),
    Bad("an unknown profile", 2, "good.yaml --profile cluster"),
    Bad("an unknown stage", 2, "good.yaml treble"),
    Bad("an unknown stage to show", 2, "good.yaml --show treble"),
    Bad("chaos that is no chance", 2, "good.yaml --chaos kill=2"),
    Bad("a misspelled command", 2, "vlaidate good.yaml"),
    Bad("a drawing of no format", 2, "graph good.yaml --format poem"),
    Bad("a method that there is not", 2, "methods multiprocessing.Pool.mop"),
    Bad("a project on top of another", 2, "init project", prepare=lambda folder: shutil.copytree(folder, folder / "project") and (folder / "project" / "pipeline.yaml").touch()),
    Bad("a project inside a file", 2, "init good.yaml/project"),
    Bad("results to a full disk", 1, "good.yaml --json", out="/dev/full"),
)  # fmt: skip
RUNS = (
    Bad("a run that there is not", 2, "good.yaml --resume 20000101-000000-abcdef"),
    Bad("nothing to resume", 4, "good.yaml --resume --state elsewhere"),
    Bad("a run to show that there is not", 2, "show 20000101-000000-abcdef"),
    Bad("logs of an unknown stage", 2, "logs last treble"),
    Bad("logs of no call", 2, "logs last double["),
    Bad("a call past the last", 2, "replay last double[99]"),
    Bad("a run to drop that there is not", 2, "clean 20000101-000000-abcdef"),
    Bad("an age that is no time", 2, "clean --older soon"),
    Bad("runs of no folder", 4, "runs --state elsewhere"),
)
STORES = (
    Bad("a file for a state folder", 4, "good.yaml", prepare=no_folder(".prun")),
    Bad("a state folder inside a file", 4, "good.yaml --state good.yaml/state"),
    Bad("a state folder where none may be", 4, "good.yaml --state /proc/nowhere"),
    Bad("a state folder by the environment that is a file", 4, "good.yaml", env={"PRUN_STATE": "deeds.py"}),
    Bad("a folder for a journal", 4, "good.yaml", prepare=no_folder(".prun/journal.db")),
    Bad("a journal of a later version", 4, "good.yaml", prepare=later_version),
    Bad("runs of a journal of a later version", 4, "runs", prepare=later_version),
)
ALL = (*FILES, *STAGES, *WORDS, *RUNS, *STORES)


def refused(bad: Bad) -> list[str]:
    """Give the bad input; what is not as promised of the answer."""
    folder = Path(tempfile.mkdtemp(prefix="prun-refused-"))
    try:
        (folder / "good.yaml").write_text(GOOD)
        (folder / "deeds.py").write_text(DEEDS)
        if bad in (*RUNS, *STORES):
            first = _prun(folder, ["good.yaml", "-q"])
            assert first.returncode == 0, first.stderr
        if bad.file is not None:
            (folder / "bad.yaml").write_bytes(bad.file if isinstance(bad.file, bytes) else bad.file.encode())
        bad.prepare(folder)
        return list(_judged(bad, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _judged(bad: Bad, folder: Path) -> list[str]:
    try:
        ended = _prun(folder, bad.words.split(), bad.env, bad.out)
    except subprocess.TimeoutExpired:
        return [f"{bad.name}: it goes on for more than {DEADLINE_S} s"]
    wrong = []
    if ended.returncode != bad.code:
        wrong.append(f"{bad.name}: exit {ended.returncode}, not {bad.code}: {ended.stderr[-600:]}")
    if "Traceback" in ended.stderr and "deeds.py" not in ended.stderr:
        wrong.append(f"{bad.name}: a traceback is shown: {ended.stderr[-1500:]}")
    if "this is a bug in prun" in ended.stderr:
        wrong.append(f"{bad.name}: it is told as our own bug: {ended.stderr[-600:]}")
    if not ended.stderr.strip():
        wrong.append(f"{bad.name}: nothing is said")
    return wrong


def _prun(
    folder: Path, words: list[str], env: dict[str, str] | None = None, out: str | None = None
) -> subprocess.CompletedProcess[str]:
    with open(out or os.devnull, "w") as stdout, tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline_runner", *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=said,
            process_group=0,
        )
        try:
            code = process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, SIGKILL)
            process.wait()
            raise
        said.seek(0)
        return subprocess.CompletedProcess(words, code, "", said.read())


def measure(size: int) -> Found:
    asked = [ALL[at * len(ALL) // min(size, len(ALL))] for at in range(min(size, len(ALL)))]
    with ThreadPoolExecutor(2) as pool:
        answers = dict(zip(asked, pool.map(refused, asked), strict=True))
    wrong = [sentence for answer in answers.values() for sentence in answer]
    well = sum(not answer for answer in answers.values())
    tracebacks = sum("a traceback is shown" in sentence for sentence in wrong)
    return Found({"bad inputs": len(asked), "answered as they must be": well, "tracebacks": tracebacks}, wrong)


if __name__ == "__main__":
    raise SystemExit(main("P11", measure, size=len(ALL), about=__doc__))
