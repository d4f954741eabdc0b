"""What `{matrix: …}` gives: every value of each axis with every value of the others, one mapping after the other.

The rules are those of GitHub Actions, read from its own expansion: the first axis changes slowest; `exclude` comes
first, and an entry of it drops every combination that it fits; then each entry of `include` is added to every
combination that it fits, and one that fits none is a combination of its own, at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod

from pipeline_runner.typed import Any

COUNTED = 100_000  # comparisons that are made, before the run, to learn how many combinations are left

Row = Mapping[str, Any]


def combinations(
    axes: Mapping[str, Sequence[Any]], include: Sequence[Row] = (), exclude: Sequence[Row] = ()
) -> Iterator[dict[str, Any]]:
    """The combinations, lazily: only the axes are held."""
    wanted = [{key: value for key, value in entry.items() if key in axes} for entry in include]
    added = [{key: value for key, value in entry.items() if key not in axes} for entry in include]
    alone = set(range(len(include)))
    for values in _product(list(axes.values())) if axes else ():
        row = dict(zip(axes, values, strict=True))
        if any(fits(row, entry) for entry in exclude):
            continue
        fitting = [number for number, entry in enumerate(wanted) if fits(row, entry)]
        alone.difference_update(fitting)
        # What an entry adds may be overwritten by a later one, what an axis gives never is.
        for number in fitting:
            row |= added[number]
        yield row
    for number in sorted(alone):
        yield {**wanted[number], **added[number]}


def count(lengths: Sequence[int], entries: int) -> int | None:
    """How many combinations there are of axes so long; None: their values decide it, with so many entries."""
    return None if entries else prod(lengths) if lengths else 0


def soon_counted(lengths: Sequence[int], entries: int) -> bool:
    """Whether going through all combinations, to learn how many are left, takes no time to speak of."""
    return prod(lengths) * entries + sum(lengths) <= COUNTED


def _product(axes: Sequence[Sequence[Any]]) -> Iterator[tuple[Any, ...]]:
    """As itertools.product, which would hold a list of each axis, also of a range over a billion numbers."""
    whole = prod(map(len, axes))
    for number in range(whole):
        block, values = whole, []
        for axis in axes:
            block //= len(axis)
            values.append(axis[number // block % len(axis)])
        yield tuple(values)


def fits(value: Any, wanted: Any) -> bool:
    """Whether a value has all that is wanted of it: a mapping at least these keys, a list at least these elements."""
    match wanted:
        case Mapping():
            return isinstance(value, Mapping) and all(
                key in value and fits(value[key], part) for key, part in wanted.items()
            )
        case list() | tuple():
            return (
                isinstance(value, list | tuple)
                and len(value) >= len(wanted)
                and all(fits(one, part) for one, part in zip(value, wanted, strict=False))
            )
    # true is not 1, and text is only the same text: looser than that, a sweep over [a, A] could not leave out one.
    return isinstance(value, bool) is isinstance(wanted, bool) and bool(value == wanted)
