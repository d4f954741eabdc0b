"""P5: the runner, its whole tree or a worker of it is killed at random moments, and resumed, until all is done."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

from storm_site import DEADLINE_S, Site, has_run, wait_for
from tally import BROKEN_OFF, Tally

RUNNER = """
import os, sys
from pipeline_runner import Pipeline
from pipeline_runner.events import CallsDone

told = os.open("told", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

def hear(event):
    if isinstance(event, CallsDone):
        os.write(told, "".join(f"{event.stage} {n}\\n" for n in event.indices).encode())

if __name__ == "__main__":
    result = Pipeline.load("pipeline.yaml").run(resume=sys.argv[1] == "resume", on_event=hear, workers=2)
    with open("result", "w") as file:
        file.write(f"{result.status} {result['t'][0]}")
"""

METHODS = ["multiprocessing.Pool.imap", "concurrent.futures.ProcessPoolExecutor.submit", "pathos.ProcessPool.uimap"]


ITEMS = 60
LOST, HALF, WRONG = "finished items lost", "half outputs", "wrong results"


def kills(trials: range, seed: int) -> Tally:
    """P5: SIGKILL of the runner, of its whole tree, or of a worker, at random moments; then resume, until done."""
    dice = random.Random(seed)
    tally = Tally.of(LOST, HALF, WRONG, "runs that ended badly")
    while tally.trials < len(trials) and tally.never[BROKEN_OFF] < 5:
        with tally.trial("pipeline", tally.did["pipelines"]), Site(pause_s=0.004) as site:
            (site.folder / "runner.py").write_text(RUNNER)
            method = dice.choice(METHODS)
            site.stages(
                {
                    "a": {"call": "work:square", "over": {"range": ITEMS}, "method": method, "chunk": dice.choice([1, 4])},
                    "b": {"call": "work:save", "over": "${stages.a}", "backend": "multiprocessing", "chunk": 1},
                    "t": {"call": "work:total", "with": {"values": "${stages.b}"}},
                },
                defaults={"retry": 5},  # a worker's death counts as a try
            )  # fmt: skip
            _until_done(site, dice, tally)
            tally.did["pipelines"] += 1
            result = (site.folder / "result").read_text()
            tally.check(result == f"done {sum(n * n + 1 for n in range(ITEMS))}", WRONG, method, result)
            for n in range(ITEMS):
                output = (site.folder / "out" / str(n * n)).read_text()
                tally.check(output == f"value {n * n}" * 20, HALF, method, n, repr(output))
    return tally


def _until_done(site: Site, dice: random.Random, tally: Tally) -> None:
    told: set[str] = set()
    made: Counter[str] = Counter()
    while True:
        process = subprocess.Popen(
            [sys.executable, "runner.py", "resume" if has_run(site) else "begin"],
            cwd=site.folder, env=site.env, start_new_session=True, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        how = dice.choice(["runner", "runner", "tree", "worker"])
        # Most moments are while calls run; some are while it begins.
        wait_for(lambda p=process: p.poll() is not None or (site.folder / "made").exists() or dice.random() < 0.005)  # type: ignore[misc]
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(dice.uniform(0, 0.35))
        if process.poll() is None and _kill(process.pid, how, dice):
            tally.trials += 1
            tally.did[f"kills of {how}"] += 1
        try:
            _, said = process.communicate(timeout=DEADLINE_S)
        finally:  # a runner that hangs, and workers that have not yet noticed: their calls were not told
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        now = Counter(site.made())
        lost = sorted(now.keys() & told)
        tally.found_out(LOST, len(lost), "finished, and made again", *lost)
        again = sum(min(times, made[call] + times - 1) for call, times in now.items())
        tally.did["run again"] += again
        tally.at_most("most run again after one kill", again)
        made += now
        told |= _told(site)
        if process.returncode == 0:
            return
        if not tally.check(process.returncode == -signal.SIGKILL, "runs that ended badly", process.returncode, said):
            return


def _told(site: Site) -> set[str]:
    """What was heard to be finished, as the calls note it: stage b's call n was given n * n."""
    file = site.folder / "told"
    if not file.exists():
        return set()
    lines = [line.split() for line in file.read_text().splitlines()]
    return {f"a {n}" if stage == "a" else f"b {int(n) ** 2}" if stage == "b" else "t" for stage, n in lines}


def _kill(pid: int, how: str, dice: random.Random) -> bool:
    """Whether there was something to kill."""
    with contextlib.suppress(ProcessLookupError):
        if how == "tree":
            os.killpg(pid, signal.SIGKILL)
        elif how == "runner":
            os.kill(pid, signal.SIGKILL)
        else:
            others = [other for other in _group(pid) if other != pid]
            if not others:
                return False
            os.kill(dice.choice(others), signal.SIGKILL)
        return True
    return False


def _group(group: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            if int(path.read_text().rpartition(")")[2].split()[2]) == group:
                found.append(int(path.parent.name))
    return found
