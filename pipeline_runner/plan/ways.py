"""How long the way is from the beginning of each chain to the end of the run: whoever has the longest goes first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum

from pipeline_runner.plan.plan import Chain, EdgeKind, Plan
from pipeline_runner.spec.pipeline import StageName


def ways(plan: Plan, chains: Sequence[Chain], times: Mapping[StageName, float]) -> list[float]:
    """For each chain, the seconds of the longest line of chains that begins with it, each with all its workers.

    A chain of which no time is known is taken to be as long as the others are on average. Where none is known, each
    counts 1: the longest line is the one with the most stages.
    """
    known = {number: span for number, chain in enumerate(chains) if (span := _span(plan, chain, times)) is not None}
    usual = fsum(known.values()) / len(known) if known else 1.0
    number_of = {name: number for number, chain in enumerate(chains) for name in chain.stages}
    found = [0.0] * len(chains)
    for number in reversed(range(len(chains))):  # in the plan's order sources come before their readers
        own = known.get(number, usual)
        found[number] = own
        for name in chains[number].stages:
            for edge in plan.readers(name):
                reader = number_of[edge.target]
                if reader != number:
                    before = 0.0 if edge.kind is EdgeKind.STREAM else own  # they run side by side
                    found[number] = max(found[number], before + found[reader])
    return found


def _span(plan: Plan, chain: Chain, times: Mapping[StageName, float]) -> float | None:
    """How long a chain runs alone; None where that is not known. What a stage was fused into has its time."""
    if chain.head not in times:
        return None
    return fsum(times.get(name, 0.0) for name in chain.stages) / plan.stages[chain.head].workers
