"""Rounds of samples: in each round every way has its turn, in a process of its own, in a folder of its own.

So whatever else the machine does meets all of them alike, and ratios are taken within a round. A way that takes too
long is killed with everything that it began, and told. What a round has found is kept at once.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from secrets import token_hex
from typing import Any

from commands import EVERY_S, pids, pss_mb
from workload import HERE, Way, Workload

ROOT = HERE.parent
TICKS = os.sysconf("SC_CLK_TCK")
Told = dict[str, Any]  # of one sample: "figures", or "absent", "failed", "hung" with a sentence
Round = dict[str, Told]  # by way


@dataclass(frozen=True)
class Terms:
    """How much is asked of this run."""

    quick: bool
    peers: frozenset[str] | None = None  # only these; None: all of them
    allowance_s: float = 5.0  # of one peer in one workload: beyond it there are fewer samples of it
    times: int | None = None  # rounds; None: as the workload says

    def rounds(self, workload: Workload) -> int:
        return self.times or (1 if self.quick else workload.times)

    def wants(self, way: Way) -> bool:
        return way.kind != "peer" or self.peers is None or any(word in way.name.lower() for word in self.peers)


def measure(workload: Workload, terms: Terms, file: Path, say: Callable[[str], None]) -> None:
    """Run what is missing of a workload's rounds, and of its weighing; they are in the file then, a line each."""
    kept = rounds(file)
    for number in range(len(kept), terms.rounds(workload)):
        began, before = time.monotonic(), _cpu_of_all()
        ways = [way for way in workload.ways if terms.wants(way) and _due(way, kept, terms)]
        turn = number % len(ways)
        found = {way.name: sample(workload, way, terms) for way in (*ways[turn:], *ways[:turn])}
        seconds = time.monotonic() - began
        found[""] = {"s": seconds, "others": _others(before, seconds)}
        kept.append(found)
        _append(file, found)
        say(f"{workload.name}: round {number + 1} of {terms.rounds(workload)}, {seconds:.0f} s{_troubles(found)}")
    weights = file.with_suffix(".weights")
    if workload.weigh and not weights.exists():
        fit = [way for way in workload.ways if terms.wants(way) and "figures" in kept[0].get(way.name, {})]
        _append(weights, {way.name: sample(workload, way, terms, weigh=True) for way in fit})
        say(f"{workload.name}: weighed")


def rounds(file: Path) -> list[Round]:
    """The rounds that are kept."""
    lines = file.read_text().splitlines() if file.exists() else []
    return [json.loads(line) for line in lines]


def sample(workload: Workload, way: Way, terms: Terms, weigh: bool = False) -> Told:
    """One turn of a way, in a fresh process; everything that it began is gone then."""
    if lacks := [needed for needed in way.needs if not there(needed)]:
        return {"absent": f"{', '.join(lacks)} not installed"}
    brand = token_hex(8)
    folder = tempfile.mkdtemp(prefix="prun-bench-")
    file = Path(folder) / "told.json"
    place, shared = Path(folder) / "place", Path("/dev/shm") / Path(folder).name
    place.mkdir()
    shared.mkdir()
    words = [sys.executable, str(HERE / "sample.py"), workload.name, way.name, str(file)]
    began = time.monotonic()
    try:
        with open(Path(folder) / "out", "wb") as out:
            process = subprocess.Popen(
                words, cwd=place, env=_surroundings(brand, folder, str(shared), terms, weigh), stdin=subprocess.DEVNULL,
                stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip
            most = _watch(process, brand, workload.timeout_s, weigh)
        if process.returncode is None:
            told: Told = {"hung": f"killed after {workload.timeout_s:.0f} s"}
        elif file.exists():
            told = json.loads(file.read_text())
        else:
            last = (Path(folder) / "out").read_text(errors="replace").strip().splitlines()[-1:]
            told = {"failed": f"exit {process.returncode}: {' '.join(last)[:200]}"}
        if weigh and "figures" in told:
            told["figures"] = {"pss_mb": most} | told["figures"]
    finally:
        sweep(brand)
        process.wait()
        for used in (folder, shared):
            shutil.rmtree(used, ignore_errors=True)
    return told | {"took": time.monotonic() - began}


def there(needed: str) -> bool:
    """Whether a distribution is installed, or a program is on the path."""
    with suppress(PackageNotFoundError):
        return bool(version(needed))
    return shutil.which(needed) is not None or Path(sys.executable).with_name(needed).exists()


def _surroundings(brand: str, folder: str, shared: str, terms: Terms, weigh: bool) -> dict[str, str]:
    """What all ways find around them: our code, the work, one thread for numbers, and the brand by which they die."""
    given = {
        "PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "BENCH_BRAND": brand,
        "BENCH_QUICK": "1" if terms.quick else "",
        "BENCH_WEIGH": "1" if weigh else "",
        "XDG_CONFIG_HOME": f"{folder}/config",
        "XDG_CACHE_HOME": f"{folder}/cache",
        "JOBLIB_TEMP_FOLDER": shared,
        "OMP_NUM_THREADS": "1",
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }
    return {key: value for key, value in os.environ.items() if key != "PRUN_STATE"} | given


def _watch(process: subprocess.Popen[bytes], brand: str, limit_s: float, weigh: bool) -> float:
    """Wait for its end, but not for ever; gives the most memory of the tree, in MB, when it is to be weighed."""
    most, until = 0.0, time.monotonic() + limit_s
    while time.monotonic() < until:
        with suppress(subprocess.TimeoutExpired):
            process.wait(EVERY_S if weigh else max(0.0, until - time.monotonic()))
            break
        if weigh:
            most = max(most, sum(map(pss_mb, branded(brand))))
    return most


def branded(brand: str) -> Iterator[int]:
    """The processes that a sample has begun, wherever they hide: the brand is in their environment."""
    mark = f"BENCH_BRAND={brand}".encode()
    for pid in pids():
        with suppress(OSError):
            if mark in Path(f"/proc/{pid}/environ").read_bytes():
                yield pid


def sweep(brand: str) -> None:
    """Kill everything of a sample, until nothing new appears."""
    for _ in range(50):
        left = [pid for pid in branded(brand) if pid != os.getpid()]
        for pid in left:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if not left:
            return
        time.sleep(0.01)


def _due(way: Way, kept: Sequence[Round], terms: Terms) -> bool:
    """Whether a way has another turn: we, the limit and rivals always, others while they are within their allowance."""
    earlier = [found[way.name] for found in kept if way.name in found]
    if any("absent" in told or "hung" in told for told in earlier):
        return False
    if not earlier or way.kind != "peer" or way.rival:
        return True
    spent = sum(told["took"] for told in earlier)
    return spent + spent / len(earlier) <= terms.allowance_s


def _append(file: Path, found: Mapping[str, Any]) -> None:
    with file.open("a") as lines:
        lines.write(json.dumps(found) + "\n")


def _troubles(found: Round) -> str:
    words = [
        f"\n    {name}: {kind}: {told[kind]}"
        for name, told in found.items()
        for kind in ("absent", "failed", "hung")
        if kind in told
    ]
    return "".join(words)


def _cpu_of_all() -> tuple[float, float]:
    """Seconds of CPU that the whole machine has used, and that our children have."""
    fields = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    own = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (sum(fields) - fields[3] - fields[4]) / TICKS, own.ru_utime + own.ru_stime


def _others(before: tuple[float, float], seconds: float) -> float:
    """How many CPUs others have used meanwhile: what makes figures of a round doubtful."""
    busy, own = (after - then for after, then in zip(_cpu_of_all(), before, strict=True))
    return max(0.0, (busy - own) / seconds)
