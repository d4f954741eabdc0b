"""`python tests/record/sweep.py [NAME=SIZE…]`: every storm over the run store at its full size, and the table of what came of it.

The table goes to stdout and, after a whole sweep, to docs/reliability-store.md.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

import histories  # noqa: E402
import storms  # noqa: E402

ROWS: dict[str, tuple[str, Callable[..., dict[str, Any]], int]] = {
    "kills": ("P5", storms.kills, 100),
    "failpoints": ("P6", storms.failpoints, 500),
    "full_disks": ("P6", storms.full_disks, 20),
    "page_limits": ("P6", storms.page_limits, 12),
    "corruptions": ("P7", storms.corruptions, 500),
    "second_runners": ("P8", storms.second_runners, 5),
    "histories": ("P9", histories.histories, 200),
    "needs": ("P12", storms.needs, 4),
    "clocks": ("P17", storms.clocks, 10),
    "chaos": ("P18", storms.chaos, 20),
}

HEAD = """# How the run store is held

Written by `python tests/record/sweep.py`; the same storms run smaller in CI (`tests/record/test_storms.py`).

| promise | storm | figures | s |
| --- | --- | --- | --- |
"""


def main() -> int:
    chosen = dict(word.split("=") for word in sys.argv[1:])
    failed = 0
    lines = []
    for name, (promise, storm, size) in ROWS.items():
        if chosen and name not in chosen:
            continue
        began = time.monotonic()
        try:
            figures = ", ".join(f"{what}: {figure}" for what, figure in storm(int(chosen.get(name, size))).items())
        except Exception as error:
            traceback.print_exc()
            figures, failed = f"**broken**: {str(error)[:200]}", failed + 1
        words = " ".join((storm.__doc__ or "").split()).partition(": ")[2].rstrip(".")
        lines.append(f"| {promise} | {words} | {figures} | {time.monotonic() - began:.0f} |")
        print(lines[-1], flush=True)
    if not chosen and not failed:
        (HERE.parents[1] / "docs" / "reliability-store.md").write_text(HEAD + "\n".join(lines) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
