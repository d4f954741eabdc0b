"""Gradient descent in three valleys: plain functions, and the sweep over their parameters as a loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Point = tuple[float, float]

# Each valley by its slope; all of them begin at (-1, 1.5) and are lowest at (1, 1).
SLOPES: dict[str, Callable[[float, float], Point]] = {
    "bowl": lambda x, y: (2 * (x - 1), 4 * (y - 1)),
    "banana": lambda x, y: (2 * (x - 1) - 400 * x * (y - x * x), 200 * (y - x * x)),
    "saddle": lambda x, y: (2 * (x - 1), -2 * (y - 1)),
}


def descend(run: Mapping[str, Any]) -> dict[str, Any]:
    """How many steps it takes to the bottom; None: it is not reached in so many steps."""
    slope, rate, momentum = SLOPES[run["valley"]], run["rate"], run["momentum"]
    x, y, dx, dy = -1.0, 1.5, 0.0, 0.0
    steps = None
    for step in range(1, run["most"] + 1):
        down_x, down_y = slope(x, y)
        dx, dy = momentum * dx - rate * down_x, momentum * dy - rate * down_y
        x, y = x + dx, y + dy
        if abs(x - 1) + abs(y - 1) < 1e-3:
            steps = step
            break
    return {"valley": run["valley"], "rate": rate, "momentum": momentum, "steps": steps}


def slowest(results: Sequence[dict[str, Any]]) -> int | None:
    """The most steps among some results that came to the bottom."""
    return max((result["steps"] for result in results if result["steps"]), default=None)


def best(results: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """For each valley, the parameters with the fewest steps."""
    found: dict[str, dict[str, Any]] = {}
    for result in results:
        valley = result["valley"]
        if result["steps"] and (valley not in found or result["steps"] < found[valley]["steps"]):
            found[valley] = result
    return found


def report(results: Iterable[dict[str, Any]], best: dict[str, dict[str, Any]]) -> str:
    """The sweep as a table, the best of each valley marked."""
    rows = [
        f"{'*' if best.get(result['valley']) == result else ' '} {result['valley']:<8}{result['rate']:>7}"
        f"{result['momentum']:>6}{result['steps'] or 'never':>8}"
        for result in results
    ]
    return "\n".join([f"  {'valley':<8}{'rate':>7}{'mom.':>6}{'steps':>8}", *rows])


def expected() -> dict[str, Any]:
    """What the pipeline must give."""
    results = []
    for valley in ("bowl", "banana"):
        for rate in (0.001, 0.02, 0.4):
            for momentum in (0.0, 0.5, 0.9):
                if valley == "banana" and rate > 0.001:
                    continue
                most = 20000 if valley == "banana" and momentum == 0 else 3000
                results.append(descend({"valley": valley, "rate": rate, "momentum": momentum, "most": most}))
    results.append(descend({"valley": "saddle", "rate": 0.4, "momentum": 0.0, "most": 10}))
    found = best(results)
    fives = [slowest(results[at : at + 5]) for at in range(0, len(results), 5)]
    return {"descend": results, "slowest": fives, "best": found, "report": report(results, found)}
