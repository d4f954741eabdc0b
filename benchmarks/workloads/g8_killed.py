"""G8: SIGKILL to all processes when 80 of 200 tasks have ended, then go on: what is made twice, how long it takes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import dags
from workload import Figures, Workload, check

WORKERS = 2
G8 = Workload(
    "G8-killed",
    "200 tasks of 50 ms, all processes killed when 80 have ended, then gone on with",
    full={"tasks": 200, "kill_at": 80, "each_s": 0.05},
    quick={"tasks": 30, "kill_at": 10, "each_s": 0.03},
    columns={"twice": "ended, and made again", "ideal_s": "what is owed ÷ 2, s", "owed": "owed"},
    unit="s to go on",
    times=2,
)


def tasks(size: SimpleNamespace) -> dags.Dag:
    """Twenty chains side by side."""
    return {f"t{number}": (size.each_s, [f"t{number - 20}"] if number >= 20 else []) for number in range(size.tasks)}


def killed(size: SimpleNamespace, begin: Sequence[str], go_on: Sequence[str]) -> Figures:
    """Run, kill all of it, and go on."""
    from commands import timed, tree

    dags.begin_log()
    with open(os.devnull, "wb") as nowhere:
        process = subprocess.Popen(begin, stdin=subprocess.DEVNULL, stdout=nowhere, stderr=nowhere)
        while len(dags.logged()) < size.kill_at:
            if process.poll() is not None:
                raise RuntimeError(f"it ended with exit {process.returncode} before it was killed")
            time.sleep(0.002)
        whole = list(tree(process.pid))
        for pid in whole:  # at one blow: runners whose workers live on would go on in secret
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
    while any(map(_at_work, whole)):
        time.sleep(0.01)
    before = Counter(name for name, _, _ in dags.logged())
    figures = timed(go_on)
    after = Counter(name for name, _, _ in dags.logged())
    check(set(after), set(tasks(size)))
    owed = size.tasks - len(before)
    return figures | {
        "twice": sum(after[name] > times for name, times in before.items()),
        "owed": owed,
        "ideal_s": owed * size.each_s / WORKERS,
    }


def _at_work(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@G8.ours("prun --resume")
def ours(size: SimpleNamespace) -> Figures:
    from commands import PRUN
    from ours import lay

    lay(dags.pipeline(tasks(size)))
    words = [*PRUN, "pipeline.yaml", "-j", str(WORKERS), "-q"]
    return killed(size, words, [*words, "--resume"])


@G8.ours("prun --resume, one stage over items")
def ours_items(size: SimpleNamespace) -> Figures:
    from commands import PRUN
    from ours import lay

    lay(
        {
            "work": {
                "call": "work:task",
                "over": [[name, seconds] for name, (seconds, _) in tasks(size).items()],
                "args": "star",
            }
        }
    )
    words = [*PRUN, "pipeline.yaml", "-j", str(WORKERS), "-q"]
    return killed(size, words, [*words, "--resume"])


def _peer(tool: str) -> None:
    @G8.peer(tool, *dags.NEEDS[tool])
    def do(size: SimpleNamespace) -> Figures:
        from commands import write

        write(dags.files(tool, tasks(size)))
        again = ["--rerun-incomplete"] if tool == "snakemake" else []  # else it refuses what was being made
        return killed(size, dags.words(tool), [*dags.words(tool), *again])


for tool in ("make", "ninja", "doit", "luigi", "snakemake"):
    _peer(tool)


@G8.peer("parsl, checkpoint after each task", "parsl")
def parsl(size: SimpleNamespace) -> Figures:
    from commands import PYTHON, write

    text = dags.SCRIPTS["parsl"].format(call="task")
    kept = "memoizer=BasicMemoizer(checkpoint_mode='task_exit')"
    text = text.replace("initialize_logging=False", kept).replace("(after)", "(after, cache=True)")
    text = f"from parsl.dataflow.memoization import BasicMemoizer\n{text}"
    write(dags.files("parsl", tasks(size)) | {"way.py": text})
    return killed(size, [PYTHON, "way.py"], [PYTHON, "way.py"])


for way in ("prun --resume", "prun --resume, one stage over items"):
    G8.target(f"{way}: ended tasks made again", (way, "twice"), most=WORKERS, unit="")
    G8.target(f"{way}: time ÷ what is owed ÷ 2", (way, "s"), (way, "ideal_s"), most=1.10)
