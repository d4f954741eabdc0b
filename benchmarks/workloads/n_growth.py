"""N: how time and memory grow with items and with stages; whole runs of `prun`, journal on."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from types import SimpleNamespace

import dags
from workload import Figures, Workload, check

DECADES = (1_000, 10_000, 100_000, 1_000_000)
ITEMS = Workload(
    "N1-items",
    "no-op items, a decade more each; the stage alone in column *stage*",
    full={"part": 1.0},
    quick={"part": 0.01},
    columns={"stage_s": "stage, s", "each_us": "µs an item", "show_s": "`prun show`, s", "root_mb": "runner, MB"},
    weigh=True,
    times=3,
    timeout_s=150,
    in_order=True,
)


def items(count: int) -> Callable[[SimpleNamespace], Figures]:
    def do(size: SimpleNamespace) -> Figures:
        from commands import timed
        from ours import PRUN, lay, run_file, said

        some = int(count * size.part)
        lay({"work": {"call": "work:same", "over": {"range": some}, "returns": "none"}})
        figures = run_file("--json")
        stage = json.loads(said())["stages"]["work"]
        check((stage["status"], stage["calls"]), ("done", some))
        show = timed([*PRUN, "show", "last"])["s"]
        return figures | {"stage_s": stage["seconds"], "each_us": stage["seconds"] / some * 1e6, "show_s": show}

    return do


for count in DECADES:
    ITEMS.ours(f"{count:,} items")(items(count))
for less, more in pairwise(DECADES):
    pair = (f"{more:,} items", "s"), (f"{less:,} items", "s")
    ITEMS.target(f"{less:,} → {more:,} items, whole run", *pair, most=11.0)
pair = ("1,000,000 items", "stage_s"), ("100,000 items", "stage_s")
ITEMS.target("100,000 → 1,000,000 items, the stage alone", *pair, most=11.0)
pair = ("1,000,000 items", "root_mb"), ("10,000 items", "root_mb")
ITEMS.target("memory of the runner, 10,000 → 1,000,000 items", *pair, most=1.1)
ITEMS.target("`prun show` of a million items", ("1,000,000 items", "show_s"), most=1.0, unit="s")


STAGES = Workload(
    "N2-stages",
    "no-op stages, a decade more each",
    full={"part": 1.0},
    quick={"part": 0.01},
    columns={"each_us": "µs a stage", "root_mb": "runner, MB", "kb_a_stage": "kB a stage more"},
    weigh=True,
    times=3,
    timeout_s=150,
    in_order=True,
)
SIZES = (10, 100, 1_000, 10_000)


def stages(count: int) -> Callable[[SimpleNamespace], Figures]:
    def do(size: SimpleNamespace) -> Figures:
        from ours import lay, run_file

        some = max(2, int(count * size.part))
        lay(dags.pipeline(dags.layered(some), "work:noop"))
        figures = run_file()
        if "root_mb" in figures and count == SIZES[-1]:  # it is weighed: a tenth of the stages, too
            lay(dags.pipeline(dags.layered(some // 10), "work:noop"))
            more = figures["root_mb"] - run_file()["root_mb"]
            figures["kb_a_stage"] = more * 1000 / (some - some // 10)
        return figures | {"each_us": figures["s"] / some * 1e6}

    return do


for count in SIZES:
    STAGES.ours(f"{count:,} stages")(stages(count))
for less, more in pairwise(SIZES):
    pair = (f"{more:,} stages", "s"), (f"{less:,} stages", "s")
    STAGES.target(f"{less:,} → {more:,} stages", *pair, most=11.0)
STAGES.target("memory of the runner for a stage more", ("10,000 stages", "kb_a_stage"), most=1.0, unit="kB")
