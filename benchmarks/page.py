"""The page of figures: where it ran, what is reached of each target, and every way of every workload."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from harness import ROOT, Round, Told
from reckon import Row, measured, row
from workload import HERE, Target, Workload

HEAD = """\
# How fast it is, measured

Our runner and others on the same work, in one run of one command:

    {command}

A sample is a fresh process in a fresh folder. In each round every way has its turn, and the figures are medians of the
rounds; a ratio is taken within a round, against the limit measured in the same round, before its median. A peer that
takes long has fewer samples (column *n*), and what went wrong with one is told in its row. Ours is run as users run it:
a pipeline file or the API, nothing set by hand. All ways call the same functions (`benchmarks/work.py`), which use
CPU time and not the clock, on two workers; each gives the same results, or is told to have failed. Memory is PSS of
the whole tree of processes, from a sample of its own that is not timed.
"""
DISTRIBUTIONS = (
    "numpy", "pathos", "ppft", "multiprocess", "joblib", "loky", "mpire", "pebble", "pypeln", "dask", "distributed",
    "ray", "parsl", "doit", "luigi", "snakemake", "ninja", "wfcommons",
)  # fmt: skip
PROGRAMS = ("make", "ninja", "cc", "xargs")


@dataclass(frozen=True)
class Kept:
    """What was measured of a workload."""

    workload: Workload
    rounds: Sequence[Round]
    weights: Mapping[str, Told]


def page(kept: Sequence[Kept], command: str, quick: bool) -> str:
    parts = [HEAD.format(command=command)]
    if quick:
        parts.append("**Made with `--quick`**: small sizes, one round. It shows that all runs, not how fast.\n")
    parts += [_where(kept), _targets(kept), _not_reached(kept), "## Every way\n", *map(_section, kept)]
    return "\n".join(parts).rstrip() + "\n"


def _where(kept: Sequence[Kept]) -> str:
    model = next((line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "?")
    memory = next((int(line.split()[1]) >> 20 for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    words = ["git", "describe", "--always", "--dirty"]
    commit = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
    seconds = sum(found[""]["s"] for each in kept for found in each.rounds)
    others = [found[""]["others"] for each in kept for found in each.rounds]
    noise = f"{statistics.median(others):.2f} (at most {max(others):.2f})" if others else "?"
    versions = ", ".join(f"{name} {_version(name)}" for name in DISTRIBUTIONS)
    return (
        f"Python {platform.python_version()}, {platform.system()} {platform.release()}, {os.cpu_count()} CPUs "
        f"({model}), {memory} GiB; commit {commit}; {seconds / 60:.0f} minutes. Others used {noise} CPUs meanwhile, in "
        f"the median round: figures of a round in which that is much are doubtful.\n\n{versions}.\n"
    )


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def _targets(kept: Sequence[Kept]) -> str:
    rows = [
        (each, target, measured(target, each.rounds, each.weights)) for each in kept for target in each.workload.targets
    ]
    reached = sum(value is not None and target.reached(value) for _, target, value in rows)
    lines = [
        f"## Targets\n\n{reached} of {len(rows)} are reached.\n",
        "| workload | target | bound | measured | reached |",
        "| --- | --- | ---: | ---: | :-: |",
    ]
    for each, target, value in rows:
        verdict = "not measured" if value is None else "yes" if target.reached(value) else "**no**"
        shown = "" if value is None else f"{number(value)} {target.unit}".strip()
        lines.append(f"| {each.workload.name} | {target.words} | {_bound(target)} | {shown} | {verdict} |")
    return "\n".join(lines) + "\n"


def _not_reached(kept: Sequence[Kept]) -> str:
    """Each target that is not reached: how near, and what is known of why (`reasons.toml`, by hand)."""
    reasons = tomllib.loads((HERE / "reasons.toml").read_text())
    lines = []
    for each in kept:
        for target in each.workload.targets:
            value = measured(target, each.rounds, each.weights)
            if value is None or not target.reached(value):
                near = "not measured" if value is None else f"{number(value)} {target.unit}".strip()
                why = reasons.get(each.workload.name, "")
                lines.append(f"- {each.workload.name}, {target.words}: {near}, not {_bound(target)}. {why}".rstrip())
    return "\n".join(["## Not reached\n", *lines, ""]) if lines else ""


def _bound(target: Target) -> str:
    sign, bound = ("≤", target.most) if target.most is not None else ("≥", target.least or 0.0)
    return f"{sign} {bound:g} {target.unit}".strip()


def _section(kept: Kept) -> str:
    workload = kept.workload
    limit = next((way.name for way in workload.ways if way.kind == "limit"), "")
    titles = ["way", f"{workload.unit}", *([f"of {limit}" if workload.share else f"× {limit}"] if limit else [])]
    titles += [*workload.columns.values(), *(["PSS, MB"] if workload.weigh else []), "n", ""]
    lines = [f"### {workload.name}: {workload.title}\n", f"| {' | '.join(titles)} |"]
    lines.append(f"| --- |{' ---: |' * (len(titles) - 2)} --- |")
    lines += ["| " + " | ".join(cells) + " |" for cells in _rows(kept, bool(limit))]
    return "\n".join(lines) + "\n"


def _rows(kept: Kept, limited: bool) -> Iterator[list[str]]:
    workload = kept.workload
    rows = [row(workload, way, kept.rounds, kept.weights) for way in workload.ways]
    for each in rows if workload.in_order else sorted(rows, key=_place):
        keys = [*workload.columns, *(["pss_mb"] if workload.weigh else [])]
        yield [
            f"**{each.way.name}**" if each.way.kind == "ours" else each.way.name,
            number(each.value),
            *([number(each.ratio)] if limited else []),
            *(number((each.others or {}).get(key)) for key in keys),
            str(each.samples or ""),
            each.why.replace("|", "\\|").replace("\n", " "),
        ]


def _place(each: Row) -> tuple[bool, bool, float]:
    """The limit first, then by the figure; those without one at the end."""
    return each.way.kind != "limit", each.value is None, each.value or 0.0


def number(value: float | None) -> str:
    """Three digits, no more."""
    if value is None:
        return ""
    if value and abs(value) < 0.001:
        return f"{value * 1e6:.3g}e-6"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
