"""Every fault on every method: `python tests/fault/sweep.py` prints the table; `--json FILE` keeps it for the page.

A cell is a process of its own with a deadline; one that hangs is told with the stacks of its threads and killed. Cells
run side by side, but those that are timed.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path
from time import monotonic

import fault_warden as warden
from fault_page import grid, kept
from fault_table import FAULTS, TREES, Fault
from fault_warden import NOT_HERE, Verdict

from pipeline_runner.backends import table
from pipeline_runner.methods import Method

FOR_TREES = "multiprocessing.Pool.imap_unordered"
DEADLINE_S = 40.0  # of a cell; the machine may be busy
CLUSTERS_DEADLINE_S = 100.0  # of one that starts a cluster first
Cells = dict[tuple[str, str], Verdict]  # by fault and method


def sweep(cells: Sequence[tuple[Fault, Method]], at_once: int = 3) -> Iterator[tuple[Fault, Method, Verdict]]:
    """Run the cells, and give each with its verdict when it has ended."""
    # Not a TemporaryDirectory: cells are forks, and each would remove it at its own exit.
    folder = tempfile.mkdtemp(prefix="prun-sweep-")
    waiting = list(reversed(cells))
    running: dict[int, tuple[Fault, Method, Path, int]] = {}  # by pidfd of its warden
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                fault, method = waiting.pop()
                if fault.in_process and table().owners[method.name].in_process:
                    yield fault, method, Verdict(NOT_HERE, note=fault.in_process)
                    continue
                place = Path(tempfile.mkdtemp(dir=folder))
                deadline_s = DEADLINE_S if table().owners[method.name].local else CLUSTERS_DEADLINE_S
                pid = warden.start(fault.run, method.name, place, deadline_s)
                running[os.pidfd_open(pid)] = (fault, method, place, pid)
            for pidfd in select.select(list(running), [], [])[0] if running else ():
                fault, method, place, pid = running.pop(pidfd)
                os.waitpid(pid, 0)
                os.close(pidfd)
                yield fault, method, Verdict.load(place)
                shutil.rmtree(place, ignore_errors=True)
    finally:
        for *_, pid in running.values():
            os.kill(pid, signal.SIGTERM)
        shutil.rmtree(folder, ignore_errors=True)


def in_turn(cells: Sequence[tuple[Fault, Method]], at_once: int) -> Iterator[tuple[Fault, Method, Verdict]]:
    """The same, with those that are timed after the others, and alone."""
    yield from sweep([(fault, method) for fault, method in cells if not fault.timed], at_once)
    yield from sweep([(fault, method) for fault, method in cells if fault.timed], 1)


def chosen(faults: Sequence[str], methods: Sequence[str]) -> list[tuple[Fault, Method]]:
    """The cells that patterns such as "SIG*" and "*.Pool.*" ask for; without any, all but those of clusters, which are
    swept when they are named: each of their cells starts a cluster."""
    rows = [fault for fault in FAULTS if _wanted(fault.name, faults)]
    columns = [m for m in table() if _wanted(m.name, methods) and (methods or table().owners[m.name].local)]
    trees = [(TREES, method) for method in columns if method.name == FOR_TREES and _wanted(TREES.name, faults)]
    return trees + [(fault, method) for fault in rows for method in columns]


def _wanted(name: str, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatch(name, pattern) for pattern in patterns)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", nargs="+", default=(), help="names or patterns")
    parser.add_argument("--methods", nargs="+", default=(), help="names or patterns")
    parser.add_argument("--json", type=Path, help="keep the figures and cells in this file")
    parser.add_argument("--at-once", type=int, default=3, help="cells side by side, of those that are not timed")
    asked = parser.parse_args()
    began = monotonic()
    verdicts: Cells = {}
    with suppress(KeyboardInterrupt):  # what was seen until then is told
        for fault, method, verdict in in_turn(chosen(asked.faults, asked.methods), asked.at_once):
            verdicts[fault.name, method.name] = verdict
            if verdict.word in (warden.FAILED, warden.HUNG):
                print(f"{verdict.word}: {fault.name} × {method.name} ({verdict.seconds:.1f} s)", flush=True)
                print("".join(f"    {line}\n" for why in verdict.why for line in why.splitlines()), flush=True)
    told = kept(verdicts, monotonic() - began)
    print(grid(told["cells"]))
    print("".join(f"{name}: {told[name]['figures']}\n" for name in ("P1", "P2", "P3")), end="")
    if asked.json:
        asked.json.write_text(json.dumps(told))
    return int(any(verdict.word in (warden.FAILED, warden.HUNG) for verdict in verdicts.values()))


if __name__ == "__main__":
    raise SystemExit(main())
