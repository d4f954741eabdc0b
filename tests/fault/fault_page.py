"""The sweep's result as a page: a row a method with its total, and a grid of faults by methods."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import version

from fault_table import FAULTS, TREES
from fault_warden import FAILED, HELD, HUNG, NOT_HERE, REFUSED, Verdict

from pipeline_runner.backends import table

ROWS = [fault.name for fault in FAULTS]
SIGNS = {HELD: "✓", REFUSED: "r", NOT_HERE: "–", FAILED: "✗", HUNG: "∞"}
Cells = Mapping[tuple[str, str], Verdict]  # by fault and method

HEAD = """\
# How dependable it is, measured

Each of the 32 faults is done to each method: twelve items, two workers, one bad item. A cell holds when only the bad
item fails, with its cause, stage, argument and tries told, when all others give their values, and when no process,
semaphore, shared memory or temporary file is left a second later. Every cell is a run of its own, with a deadline.

This page is printed by the sweep itself, from one run of it:

    python tests/fault/sweep.py --markdown docs/reliability.md
"""


def page(cells: Cells, *, took_s: float, at_once: int) -> str:
    """Markdown."""
    parts = [
        HEAD,
        _where(took_s, at_once, len(cells)),
        _promises(cells),
        _totals(cells),
        _grid(cells),
        _reasons(cells),
        _open(cells),
    ]
    return "\n".join(part for part in parts if part).rstrip() + "\n"


def _where(took_s: float, at_once: int, cells: int) -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in ("pathos", "ppft", "multiprocess", "dill"))
    return f"Python {platform.python_version()}, {platform.system()}, {libraries}; {cells} cells in {took_s:.0f} s, {at_once} side by side.\n"


def _promises(cells: Cells) -> str:
    lines = ["| promise | measured |", "| --- | --- |"]
    processes = [m for m in _methods(cells) if not table().owners[m].in_process]
    whole = [m for m in processes if all(v.word == HELD for (f, of), v in cells.items() if of == m and f in ROWS)]
    lines.append(f"| P1: every fault is survived | {len(whole)} of {len(processes)} methods hold all of their rows |")
    told, untold = (sum(getattr(v, word) for v in cells.values()) for word in ("told", "untold"))
    lines.append(
        f"| P2: a failure's text names stage, item, argument, signal, tries | {told} of {told + untold} texts |"
    )
    trees = [v.note or v.word for (fault, _), v in cells.items() if fault == TREES.name]
    lines += [f"| P3: {TREES.name} (setsid, two forks, SIGTERM ignored) | {note} |" for note in trees]
    return "\n".join(lines) + "\n"


def _methods(cells: Cells) -> list[str]:
    there = {method for _, method in cells}
    return [method.name for method in table() if method.name in there]


def _faults(cells: Cells) -> list[str]:
    there = {fault for fault, _ in cells}
    return [name for name in ROWS if name in there]


def _totals(cells: Cells) -> str:
    faults, methods = _faults(cells), _methods(cells)
    lines = ["| # | method | holds | refused by the plan | cannot be asked |", "| ---: | --- | ---: | ---: | ---: |"]
    for number, method in enumerate(methods, 1):
        words = [cells[fault, method].word for fault in faults if (fault, method) in cells]
        held = f"{words.count(HELD)}/{len(words) - words.count(NOT_HERE) - words.count(REFUSED)}"
        lines.append(f"| {number} | {method} | {held} | {words.count(REFUSED)} | {words.count(NOT_HERE)} |")
    return "\n".join(lines) + "\n"


def _grid(cells: Cells) -> str:
    methods = _methods(cells)
    lines = [
        "✓ holds · ✗ does not · ∞ hangs · r refused, with the reason · – cannot be asked of calls that run in the "
        "runner itself. Columns are the methods by number.\n",
        "| fault | " + " | ".join(str(number) for number in range(1, len(methods) + 1)) + " |",
        "| --- |" + " :-: |" * len(methods),
    ]
    for fault in _faults(cells):
        signs = [SIGNS[cells[fault, method].word] if (fault, method) in cells else " " for method in methods]
        lines.append(f"| {fault} | " + " | ".join(signs) + " |")
    return "\n".join(lines) + "\n"


def _reasons(cells: Cells) -> str:
    """Why some cells were not asked, or refused: each reason once, with what it is about."""
    about: dict[str, dict[str, None]] = {}
    for (fault, _), verdict in cells.items():
        if verdict.word in (REFUSED, NOT_HERE):
            about.setdefault(f"{SIGNS[verdict.word]} {verdict.note}", {})[fault] = None
    lines = [f"- {reason}: {', '.join(faults)}" for reason, faults in about.items()]
    return "\n".join(["Why:\n", *lines, ""]) if lines else ""


def _open(cells: Cells) -> str:
    return "\n".join(["## Open\n", *_failing(cells), ""]) if any(_failing(cells)) else ""


def _failing(cells: Cells) -> Iterator[str]:
    for (fault, method), verdict in cells.items():
        if verdict.word in (FAILED, HUNG):
            yield f"- {fault} × {method}: {verdict.why[0].splitlines()[0][:160] if verdict.why else verdict.word}"
