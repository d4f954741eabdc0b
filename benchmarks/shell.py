"""`python benchmarks/shell.py`: commands a second, beside `xargs -P`; interleaved, median of 5.

Each item is one command that does nothing, `/bin/true`: with a shell and without. Only the ratio of runs side by side
says something where others load the machine.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline_runner import Pipeline

WORKERS = 2
CASES: dict[str, tuple[object, list[str]]] = {
    "with a shell": ("/bin/true ${item}", ["xargs", f"-P{WORKERS}", "-I{}", "/bin/sh", "-c", "/bin/true '{}'"]),
    "without": (["/bin/true", "${item}"], ["xargs", f"-P{WORKERS}", "-n1", "/bin/true"]),
}


def prun(run: object, items: int, state: bool | Path) -> Callable[[], None]:
    stages = {"a": {"run": run, "over": {"range": items}}}
    pipeline = Pipeline.from_text(json.dumps({"version": 1, "stages": stages}))

    def go() -> None:
        result = pipeline.run(workers=WORKERS, state=state)
        if result.exit_code:
            raise SystemExit(f"it failed: {result.failures[:1]}")

    return go


def xargs(command: list[str], items: int) -> Callable[[], None]:
    text = "\n".join(map(str, range(items))).encode()
    return lambda: subprocess.run(command, input=text, check=True) and None


def seconds(go: Callable[[], None]) -> float:
    began = time.perf_counter()
    go()
    return time.perf_counter() - began


def main() -> None:
    times, items = 5, int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    print(f"{items} commands, {WORKERS} workers\n")
    print(
        "| commands | xargs, a second | prun, a second | ratio | with a journal | ratio |\n"
        "| --- | --- | --- | --- | --- | --- |"
    )
    with tempfile.TemporaryDirectory() as top:
        os.environ["XDG_CONFIG_HOME"] = top
        for name, (run, command) in CASES.items():
            ways = (xargs(command, items), prun(run, items, False), prun(run, items, Path(top) / "state"))
            rounds = [[seconds(way) for way in ways] for _ in range(times)]
            peer, ours, kept = (items / statistics.median(column) for column in zip(*rounds, strict=True))
            ratio = statistics.median(row[0] / row[1] for row in rounds)
            with_journal = statistics.median(row[0] / row[2] for row in rounds)
            print(f"| {name} | {peer:.0f} | {ours:.0f} | {ratio:.2f} | {kept:.0f} | {with_journal:.2f} |", flush=True)


if __name__ == "__main__":
    main()
