"""Every fault on every method: `python tests/fault/sweep.py` prints the table; `--markdown FILE` writes the page.

A cell is a process of its own with a deadline; one that hangs is told with the stacks of its threads and killed.
"""

from __future__ import annotations

import argparse
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
from fault_page import page
from fault_table import FAULTS, TREES, Fault
from fault_warden import NOT_HERE, Verdict

from pipeline_runner.backends import table
from pipeline_runner.methods import Method

FOR_TREES = "multiprocessing.Pool.imap_unordered"
DEADLINE_S = 40.0  # of a cell; the machine may be busy
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
                pid = warden.start(fault.run, method.name, place, DEADLINE_S)
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


def chosen(faults: Sequence[str], methods: Sequence[str]) -> list[tuple[Fault, Method]]:
    """The cells that patterns such as "SIG*" and "*.Pool.*" ask for; all, without any."""
    rows = [fault for fault in FAULTS if _wanted(fault.name, faults)]
    columns = [m for m in table() if _wanted(m.name, methods) and table().owners[m.name].local]
    trees = [(TREES, method) for method in columns if method.name == FOR_TREES and _wanted(TREES.name, faults)]
    return trees + [(fault, method) for fault in rows for method in columns]


def _wanted(name: str, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatch(name, pattern) for pattern in patterns)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", nargs="+", default=(), help="names or patterns")
    parser.add_argument("--methods", nargs="+", default=(), help="names or patterns")
    parser.add_argument("--markdown", type=Path, help="write the page to this file")
    parser.add_argument("--at-once", type=int, default=3, help="cells side by side")
    asked = parser.parse_args()
    began = monotonic()
    verdicts: Cells = {}
    with suppress(KeyboardInterrupt):  # what was seen until then is told
        for fault, method, verdict in sweep(chosen(asked.faults, asked.methods), asked.at_once):
            verdicts[fault.name, method.name] = verdict
            if verdict.word in (warden.FAILED, warden.HUNG):
                print(f"{verdict.word}: {fault.name} × {method.name} ({verdict.seconds:.1f} s)", flush=True)
                print("".join(f"    {line}\n" for why in verdict.why for line in why.splitlines()), flush=True)
    text = page(verdicts, took_s=monotonic() - began, at_once=asked.at_once)
    print(text)
    if asked.markdown:
        asked.markdown.write_text(text)
    return int(any(verdict.word in (warden.FAILED, warden.HUNG) for verdict in verdicts.values()))


if __name__ == "__main__":
    raise SystemExit(main())
