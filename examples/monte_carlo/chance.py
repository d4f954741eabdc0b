"""Experiments with chance that come out the same wherever and in whichever order they run.

A generator shared by the calls, or a seed made from the worker's process, would make the answer depend
on who ran what. So each call makes its own generator, from the experiment's seed and its own number.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from random import Random


def throw(number: int, seed: int, darts: int) -> int:
    """How many of the darts thrown at a square hit the circle inside it."""
    chance = Random(f"throw {seed} {number}").random
    return sum(chance() ** 2 + chance() ** 2 <= 1 for _ in range(darts))


def estimate_pi(hits: Sequence[int], darts: int) -> dict[str, float]:
    """π from the share that hit, with the error to expect (two standard deviations)."""
    thrown = len(hits) * darts
    share = sum(hits) / thrown
    return {
        "darts": thrown,
        "pi": round(4 * share, 6),
        "within": round(2 * 4 * sqrt(share * (1 - share) / thrown), 6),
    }


def shared_birthday(guests: int, number: int, seed: int, parties: int) -> dict[str, float]:
    """At what share of the parties two guests have the same birthday."""
    chance = Random(f"birthday {seed} {number}")
    shared = sum(len({chance.randrange(365) for _ in range(guests)}) < guests for _ in range(parties))
    return {"guests": guests, "shared": round(shared / parties, 4)}
