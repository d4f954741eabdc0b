"""What `prun tune` has measured, kept in the state folder for as long as a stage computes what it did then.

One small file, replaced whole. It decides nothing but which of several fitting methods is taken, so that one that
cannot be read, or was measured elsewhere, is simply not there.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pipeline_runner.plan.measured import Measured, Span
from pipeline_runner.plan.plan import Plan
from pipeline_runner.record.keys import recipes
from pipeline_runner.spec.pipeline import StageName
from pipeline_runner.typed import Any
from pipeline_runner.witness import saw, status

NAME = "tuned.json"
MOST = 1_000  # stages that are remembered, the last ones


def keep(folder: Path, plan: Plan, stage: StageName, measured: Measured) -> None:
    """Remember what was measured of a stage. Nothing is kept of one that cannot be known again. Errors: OSError."""
    key = recipes(plan)[stage].key
    if key is None:
        return
    path = folder / NAME
    known = dict(_read(path))
    known.pop(key.hex(), None)
    known[key.hex()] = {
        "took": measured.took,
        "here": measured.here,
        "calls": measured.calls,
        "when": measured.when,
        "workers": plan.stages[stage].workers,
        "where": _here(),
    }
    aside = path.with_name(f"{NAME}.{os.getpid()}")
    with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as file:
        json.dump(dict(list(known.items())[-MOST:]), file)
    aside.replace(path)


def known(folder: Path, plan: Plan) -> dict[StageName, Measured]:
    """What is known of the stages of a plan, measured here and with as many workers."""
    path = folder / NAME
    saw("status", str(path), answer=status(str(path)))
    entries = _read(path)
    if not entries:
        return {}
    free = {name: stage for name, stage in plan.stages.items() if stage.spec.method is None}
    keys = {name: recipe.key for name, recipe in recipes(plan).items() if name in free}
    found: dict[StageName, Measured] = {}
    for name, key in keys.items():
        entry = entries.get(key.hex()) if key is not None else None
        with suppress(TypeError, ValueError, LookupError, AttributeError):  # damaged, or of another version
            if entry is not None and entry["where"] == _here() and entry["workers"] == free[name].workers:
                took, here = _spans(entry["took"]), _spans(entry["here"])
                found[name] = Measured(took, here, int(entry["calls"]), str(entry["when"]))
    return found


def _spans(told: Mapping[str, Any]) -> dict[str, Span]:
    return {str(name): (float(start), float(each)) for name, (start, each) in told.items()}


def _here() -> str:
    """Where and with what it was measured: what is fast elsewhere need not be here."""
    return f"{os.uname().nodename} {sys.version.split()[0]}"


def _read(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
