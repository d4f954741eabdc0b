"""From rounds to figures: medians, ratios within a round, and what of the targets is reached."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness import Round, Told
from workload import Target, Way, Workload

WEIGHED = ("pss_mb", "root_mb", "window_mb", "kb_a_stage")  # known from the sample that is weighed


@dataclass(frozen=True)
class Row:
    """What is known of one way."""

    way: Way
    samples: int
    value: float | None = None  # median of the workload's figure
    ratio: float | None = None  # to the limit, median of those of the rounds
    others: Mapping[str, float] | None = None  # further figures, medians
    why: str = ""  # there is no figure, or not from every round


def row(workload: Workload, way: Way, rounds: Sequence[Round], weights: Mapping[str, Told]) -> Row:
    tolds = [found[way.name] for found in rounds if way.name in found]
    good = [told["figures"] for told in tolds if "figures" in told]
    why = next((f"{kind}: {told[kind]}" for told in tolds for kind in ("absent", "failed", "hung") if kind in told), "")
    if not good:
        return Row(way, 0, why=why or "not asked for in this run")
    keys = {key for figures in good for key in figures} - {"note"}
    why = why or next((figures["note"] for figures in good if "note" in figures), "")
    middles = {key: statistics.median(figures[key] for figures in good if key in figures) for key in keys}
    weighed = weights.get(way.name, {}).get("figures", {})
    middles |= {key: weighed[key] for key in WEIGHED if key in weighed}
    limit = next((each.name for each in workload.ways if each.kind == "limit"), None)
    ratio = None
    if limit is not None:
        pair = (limit, workload.figure), (way.name, workload.figure)
        ratio = over(*(pair if workload.share else pair[::-1]), rounds)
    return Row(way, len(good), middles.get(workload.figure), ratio, middles, why)


def over(of: tuple[str, str], under: tuple[str, str] | None, rounds: Sequence[Round]) -> float | None:
    """The median, over the rounds that have both, of one figure over another, or of one alone."""
    found = []
    for each in rounds:
        above = _figure(each, of)
        below = 1.0 if under is None else _figure(each, under)
        if above is not None and below:
            found.append(above / below)
    return statistics.median(found) if found else None


def measured(target: Target, rounds: Sequence[Round], weights: Mapping[str, Told]) -> float | None:
    """What a target is about; memory is known from the sample that was weighed."""
    both = (target.of, target.over) if target.over else (target.of,)
    return over(target.of, target.over, [dict(weights)] if any(key in WEIGHED for _, key in both) else rounds)


def _figure(found: Mapping[str, Told], which: tuple[str, str]) -> float | None:
    way, key = which
    value = found.get(way, {}).get("figures", {}).get(key)
    return None if value is None else float(value)
