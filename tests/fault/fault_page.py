"""The sweep's result: its figures for P1 to P3, and as a page, a row a method with its total and faults by methods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from fault_table import FAULTS, REPETITIONS, TREES
from fault_warden import FAILED, HELD, HUNG, NOT_HERE, REFUSED, Verdict

from pipeline_runner.backends import table

ROWS = [fault.name for fault in FAULTS]
SIGNS = {HELD: "✓", REFUSED: "r", NOT_HERE: "–", FAILED: "✗", HUNG: "∞"}
Cells = Mapping[tuple[str, str], Verdict]  # by fault and method


def kept(cells: Cells, took_s: float) -> dict[str, Any]:
    """The three promises, and the cells themselves for the page."""
    failing = list(_failing(cells))
    methods = [m for m in _methods(cells) if not table().owners[m].in_process]
    whole = [m for m in methods if all(v.word == HELD for (f, of), v in cells.items() if of == m and f in ROWS)]
    asked = [v for (fault, _), v in cells.items() if fault in ROWS and v.word not in (NOT_HERE, REFUSED)]
    told, untold = (sum(getattr(v, word) for v in cells.values()) for word in ("told", "untold"))
    trees = next((verdict for (fault, _), verdict in cells.items() if fault == TREES.name), None)
    first = {
        "faults": len(_faults(cells)),
        "methods that hold all of them": f"{len(whole)} of {len(methods)}",
        "cells held": sum(verdict.word == HELD for verdict in asked),
        "cells that can be asked": len(asked),
    }
    second = {"texts that tell all": told, "texts that do not": untold}
    third = dict(trees.figures) if trees else {}
    figures = {"P1": first, "P2": second, "P3": third}
    held = {
        "P1": not [line for line in failing if TREES.name not in line] and len(_faults(cells)) == len(ROWS),
        "P2": bool(told) and not untold,
        "P3": trees is not None and trees.word == HELD,
    }
    sizes = {"P1": len(asked), "P2": told + untold, "P3": REPETITIONS if trees else 0}
    # They are measured together: what it took stands with the first.
    seconds = {"P1": round(took_s, 1), "P2": 0.0, "P3": round(trees.seconds, 1) if trees else 0.0}
    about = {
        name: {"figures": figures[name], "size": sizes[name], "seconds": seconds[name], "held": held[name]}
        for name in figures
    }
    about["P1"]["wrong"] = failing
    return about | {"cells": [[fault, method, asdict(verdict)] for (fault, method), verdict in cells.items()]}


def grid(kept_cells: Sequence[Any]) -> str:
    """Markdown: which method holds which fault, and why some are not asked."""
    cells = {(fault, method): Verdict(**verdict) for fault, method, verdict in kept_cells}
    return "\n".join(part for part in (HEAD, _totals(cells), _grid(cells), _reasons(cells)) if part)


HEAD = """\
## Faults by methods

Each of the 32 faults is done to each method: twelve items, two workers, one bad item. A cell holds when only the bad
item fails, with its cause, stage, argument and tries told, when all others give their values, and when no process,
semaphore, shared memory or temporary file is left a second later. Every cell is a run of its own, with a deadline.
`python tests/fault/sweep.py --faults "SIG*" --methods "*.Pool.*"` runs some of them.
"""


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


def _failing(cells: Cells) -> Iterator[str]:
    for (fault, method), verdict in cells.items():
        if verdict.word in (FAILED, HUNG):
            yield f"{fault} × {method}: {verdict.why[0].splitlines()[0][:160] if verdict.why else verdict.word}"
