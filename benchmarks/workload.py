"""What a workload is: work that several ways do, a limit that physics sets, and what we want to reach.

A file in `workloads/` has one or a few of them. Each way is a function that does the whole work in a process of its
own and gives figures: "s", the seconds of the work, and whatever else the table shows. A way that finds other results
than it must raises, and the table tells it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

Figures = dict[str, Any]  # numbers, and perhaps a "note" in words
Do = Callable[[SimpleNamespace], Figures]

HERE = Path(__file__).resolve().parent


class WrongResult(Exception):
    """A way ended, and gave something else than the work demands."""


class NotThere(Exception):
    """A way cannot be measured here; its words say why."""


def check(found: object, wanted: object) -> None:
    """Errors: WrongResult."""
    if found != wanted:
        raise WrongResult(f"{str(found)[:60]} is not {str(wanted)[:60]}")


@dataclass(frozen=True)
class Way:
    """One runner's way through a workload."""

    name: str
    do: Do
    kind: str  # limit, ours or peer
    needs: tuple[str, ...] = ()  # distributions, or programs on the path
    rival: bool = False  # a peer that a target speaks of: sampled as often as we are


@dataclass(frozen=True)
class Target:
    """A figure of one way, alone or over that of another, and where it should be."""

    words: str
    of: tuple[str, str]  # (way, figure)
    over: tuple[str, str] | None = None
    most: float | None = None
    least: float | None = None
    unit: str = "×"

    def reached(self, measured: float) -> bool:
        return (self.most is None or measured <= self.most) and (self.least is None or measured >= self.least)


@dataclass
class Workload:
    """Work, with the sizes that it has, and the ways and targets that its file adds."""

    name: str
    title: str
    full: Mapping[str, float]
    quick: Mapping[str, float]
    share: bool = False  # a way's ratio is limit ÷ way, at most about 1; else way ÷ limit
    columns: Mapping[str, str] = field(default_factory=dict)  # other figures that the table shows, with their titles
    weigh: bool = False  # one more sample of each, not timed, in which its memory is sampled
    timeout_s: float = 90.0  # of one sample
    figure: str = "s"
    unit: str = "s"
    times: int = 5
    in_order: bool = False  # the table has its ways as they stand in the file; else the best first
    when_quick: bool = True  # it is part of a quick run
    ways: list[Way] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)

    def limit(self, name: str) -> Callable[[Do], Do]:
        return self._way(name, "limit")

    def ours(self, name: str) -> Callable[[Do], Do]:
        return self._way(name, "ours")

    def peer(self, name: str, *needs: str, rival: bool = False) -> Callable[[Do], Do]:
        return self._way(name, "peer", needs, rival)

    def target(
        self,
        words: str,
        of: tuple[str, str],
        over: tuple[str, str] | None = None,
        *,
        most: float | None = None,
        least: float | None = None,
        unit: str = "×",
    ) -> None:
        self.targets.append(Target(words, of, over, most, least, unit))

    def size(self, quick: bool) -> SimpleNamespace:
        return SimpleNamespace(**(self.quick if quick else self.full), quick=quick)

    def _way(self, name: str, kind: str, needs: tuple[str, ...] = (), rival: bool = False) -> Callable[[Do], Do]:
        def add(do: Do) -> Do:
            self.ways.append(Way(name, do, kind, needs, rival))
            return do

        return add


@cache
def workloads() -> dict[str, Workload]:
    """Every workload, by name, in the order of PERFORMANCE: pools and streams, graphs, growth."""
    found = []
    for path in sorted((HERE / "workloads").glob("[!_]*.py")):
        module = importlib.import_module(f"workloads.{path.stem}")
        given = [each for value in vars(module).values() for each in (value if isinstance(value, list) else [value])]
        found += [each for each in given if isinstance(each, Workload)]
    return {each.name: each for each in sorted(found, key=lambda each: "WGNJS".index(each.name[0]))}
