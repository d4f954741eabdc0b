"""The same small work for every method, and the stage that compares what they gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def euclid(a: int, b: int) -> list[int]:
    """The greatest common divisor of two numbers, and in how many steps Euclid finds it."""
    first, second, steps = a, b, 0
    while b:
        a, b, steps = b, a % b, steps + 1
    return [first, second, a, steps]


def euclid_of(pair: Sequence[int]) -> list[int]:
    """The same for methods that give a function one argument."""
    return euclid(*pair)


def compare(answers: Mapping[str, Sequence[Sequence[int]]]) -> dict[str, object]:
    """How many methods there are, which of them gave another answer than the first, and the answer."""
    given = {method: sorted(map(list, answer)) for method, answer in answers.items()}
    answer = next(iter(given.values()))
    return {
        "methods": len(given),
        "different": [method for method, other in given.items() if other != answer],
        "answer": answer,
    }
