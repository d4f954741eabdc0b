"""P8, P12, P17, P18: a second runner, a missing need, a clock that jumps, and chaos. The larger storms have files of
their own beside this one."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable

from storm_kills import METHODS
from storm_site import EXPECTED, SERIAL, WORK, Site, has_run, rows, wait_for
from storm_writes import tmpfs
from tally import Tally


def second_runners(trials: range, seed: int) -> Tally:
    """P8: a second `prun` is refused at once, with exit 4, pid and start; a dead owner is taken over without a word."""
    late, unclear, locked_out = (
        "refused after 1 s or later",
        "refusals without pid, start or exit 4",
        "dead owners that kept others out",
    )
    tally = Tally.of(late, unclear, locked_out)
    for trial in trials:
        with tally.trial(trial), Site(pause_s=0.3) as site:
            site.stages({"a": {"call": "work:square", "over": {"range": 400}, "chunk": 1}}, workers=1)
            first = subprocess.Popen(
                [sys.executable, "-m", "pipeline_runner", str(site.file), "-q"],
                cwd=site.folder, env=site.env, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
            try:
                wait_for(lambda site=site: (site.folder / "made").exists())  # type: ignore[misc]
                began = time.monotonic()
                ended = site.prun()
                took_s = time.monotonic() - began
            finally:
                os.killpg(first.pid, signal.SIGKILL)
                first.wait()
            tally.trials += 1
            tally.did["second runners"] += 1
            tally.at_most("slowest refusal, s", took_s)
            tally.check(took_s < 1, late, f"{took_s:.2f} s")
            told = re.search(rf"pid {first.pid}, since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d", ended.stderr)
            tally.check(bool(told) and ended.returncode == 4, unclear, ended.returncode, ended.stderr)
            site.functions(WORK.replace("PAUSE", "0"))
            after = site.prun("--resume")
            tally.check(after.returncode == 0 and not after.stderr, locked_out, after.returncode, after.stderr)
            tally.did["dead owners taken over"] += after.returncode == 0
    return tally


def needs(trials: range, seed: int) -> Tally:
    """P12: full disk, read-only folder, too few descriptors, missing package: one line that names the need; then on."""
    unclear, stuck = "needs not told in one line", "cures after which it did not go on"
    tally = Tally.of(unclear, stuck)
    for trial in trials:
        name, need = list(NEEDS.items())[trial]
        with tally.trial(name), Site() as site:
            ended, lines, again = need(site)
            tally.trials += 1
            well = [
                tally.check(ended.returncode != 0 and len(lines) == 1, unclear, name, ended.returncode, ended.stderr),
                tally.check("Traceback" not in ended.stderr, unclear, name, ended.stderr),
                tally.check(again.returncode == 0, stuck, name, again.returncode, again.stderr),
            ]
            tally.did["told, and gone on after the cure"] += all(well)
    return tally


Ended = subprocess.CompletedProcess[str]


def _naming(ended: Ended, *words: str) -> list[str]:
    """The lines that have all these words."""
    return [line for line in ended.stderr.splitlines() if all(word in line for word in words)]


def _full_disk(site: Site) -> tuple[Ended, list[str], Ended]:
    with tmpfs(site, 64) as room:
        site.stages(SERIAL)
        ended = site.prun()
        room()
        return ended, _naming(ended, str(site.state), "full"), site.prun(*(["--resume"] if has_run(site) else []))


def _read_only(site: Site) -> tuple[Ended, list[str], Ended]:
    with tmpfs(site, 4096) as room:
        site.stages(SERIAL)
        room("ro")
        ended = site.prun()
        room("rw")
        return ended, _naming(ended, str(site.state), "Read-only"), site.prun()


def _few_descriptors(site: Site) -> tuple[Ended, list[str], Ended]:
    site.stages({"a": {"call": "work:square", "over": {"range": 50}, "workers": 8}}, workers=8)
    ended = site.prun(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16)))
    return ended, _naming(ended, "escriptor", "ulimit -n"), site.prun()


def _missing_package(site: Site) -> tuple[Ended, list[str], Ended]:
    site.functions("import a_package_that_is_not_there\n\ndef square(x):\n    return x * x\n")
    site.stages({"a": {"call": "work:square", "over": {"range": 3}}})
    ended = site.prun()
    lines = _naming(ended, "a_package_that_is_not_there")
    site.functions("def square(x):\n    return x * x\n")
    return ended, lines, site.prun(*(["--resume"] if has_run(site) else []))


NEEDS: dict[str, Callable[[Site], tuple[Ended, list[str], Ended]]] = {
    "full disk": _full_disk,
    "read-only folder": _read_only,
    "too few descriptors": _few_descriptors,
    "missing package": _missing_package,
}

SLOW_ONCE = """

def slow_once(x):
    first = not (HERE / f"slow{x}").exists()
    (HERE / f"slow{x}").touch()
    if first:
        time.sleep(60)
    return x
"""


def clocks(trials: range, seed: int) -> Tally:
    """P17: the clock jumps by a day to and fro at every look; no timeout and no reuse is decided by it."""
    wrong, timed, owed = "wrong results", "timeouts too early or too late", "decisions to make again what was kept"
    tally = Tally.of(wrong, timed, owed)
    dice = random.Random(seed)

    def jump() -> None:
        real, local = time.time, time.localtime
        time.time = lambda: real() + dice.choice([-86400, 0, 86400])
        time.localtime = lambda *given: local(*(given or (time.time(),)))

    for trial in trials:
        with tally.trial(trial), Site() as site:
            site.functions(WORK.replace("PAUSE", "0") + SLOW_ONCE)
            pool = {"backend": "multiprocessing", "start_method": "fork", "chunk": 1}  # its workers' clock jumps, too
            slow = {"call": "work:slow_once", "over": [7], "timeout": "1s", "retry": 1, **pool}
            quick = {"call": "work:square", "over": {"range": 6}, "timeout": "20s", **pool}
            site.stages({**SERIAL, "slow": slow, "quick": quick})
            expected = EXPECTED | {"slow": [7], "quick": [n * n for n in range(6)]}
            dice.seed(seed + trial)
            began = time.monotonic()
            kind, value = site.forked(jump)
            took_s = time.monotonic() - began
            tally.check((kind, value) == ("done", expected), wrong, trial, kind, str(value)[:300])
            made = site.made()
            tally.check(1 <= took_s < 20 and made.count("a 1") == 2, timed, trial, f"{took_s:.2f} s")
            kind, value = site.forked(jump, resume=True)
            tally.check((kind, value) == ("done", expected), wrong, trial, "resumed", kind, str(value)[:300])
            tally.check(not (made := site.made()), owed, trial, *made)
            tally.trials += 1
            tally.did["runs"] += 2
    return tally


def chaos(trials: range, seed: int) -> Tally:
    """P18: the same result whatever chaos does, without any retry."""
    wrong, tried = "different results", "tries of the user's taken for chaos's deeds"
    tally = Tally.of(wrong, tried)
    for trial in trials:
        method = [*METHODS, "multiprocessing.Process", "pathos.ParallelPool.imap"][trial % 5]
        with tally.trial(method), Site() as site:
            site.stages(
                {
                    "a": {"call": "work:square", "over": {"range": 60}, "method": method, "chunk": 2},
                    "t": {"call": "work:total", "with": {"values": "${stages.a}"}},
                }
            )
            ended = site.prun("--chaos", f"kill=0.05,seed={seed + trial}", "-j", "2")
            tally.trials += 1
            tally.did["runs"] += 1
            told = json.loads(ended.stdout)
            value = told["stages"]["t"].get("value", [None])[0]
            same = ended.returncode == 0 and value == sum(n * n for n in range(60))
            tally.check(same, wrong, method, ended.returncode, value, ended.stderr)
            tally.found_out(tried, told["stages"]["a"]["retried"], method, ended.stdout)
            with contextlib.closing(rows(site)) as db:
                struck = db.execute("SELECT count(*) FROM event WHERE kind = 'WorkerStruck'").fetchone()[0]
            tally.did["workers killed"] += struck
    return tally
