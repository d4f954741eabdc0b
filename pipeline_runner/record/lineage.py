"""Digests: 8 bytes that tell what a call was given, through all the stages that its arguments came through.

A call's number and its stage's recipe say much already; a digest says the rest: the item, the digests of the
values that it was made of, the whole results that its `with` reads. Under one recipe, calls of one digest are
the same call, whatever their numbers are and in whichever run they were made.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence

from pipeline_runner.calls import Calls
from pipeline_runner.hashing import blake2b, blake2s
from pipeline_runner.record.counted import SIZE, counting, first_of
from pipeline_runner.typed import Any

_PRIME = 2**64 - 59
_PART = 512 * SIZE  # bytes that are made one number: what fits near the processor


def told_apart(how: Callable[[Sequence[Any]], bytes], values: Sequence[Any]) -> bytes:
    """The digests of some items. One that has none gets what no other has: it will not be known again."""
    try:
        return how(values)
    except Exception:  # what pickle, or an item's own class, raises
        return b"".join(_of_one(how, value) for value in values)


def _of_one(how: Callable[[Sequence[Any]], bytes], value: Any) -> bytes:
    try:
        return how([value])
    except Exception:
        return os.urandom(SIZE)


def side_by_side(columns: Sequence[Calls]) -> bytes | None:
    """The digests of rows that are made of these columns. Where some columns go by number and others do not, the
    number is part of it."""
    told = [column.digests for column in columns if column.digests is not None]
    if not told:
        return None
    together = told[0] if len(told) == 1 else _rows(zip(*map(_each, told), strict=True))
    return together if len(told) == len(columns) else deepened(columns[0].indices, together, b"", numbered=True)


def in_lists(indices: Sequence[int], digests: bytes | None, size: int) -> bytes:
    """The digests of lists of `size` calls, the last one shorter: of all that is in each of them."""
    each = [index.to_bytes(SIZE, "little") for index in indices] if digests is None else _each(digests)
    return _rows(tuple(each[at : at + size]) for at in range(0, len(each), size))


def deepened(indices: Sequence[int], digests: bytes | None, salt: bytes, *, numbered: bool = False) -> bytes | None:
    """Digests of calls that are given something more: what `salt` stands for, or their own numbers."""
    if not salt and (digests is None or not numbered):
        return digests
    if digests is None:
        return _numbers_from(salt, indices)
    numbers = [index.to_bytes(SIZE, "little") for index in indices] if numbered else [b""] * len(indices)
    return _rows((number, mine, salt) for number, mine in zip(numbers, _each(digests), strict=True))


def _numbers_from(salt: bytes, indices: Sequence[int]) -> bytes:
    """The numbers of calls, counted from where the salt says: a hash for each would cost more than a quick call."""
    base = int.from_bytes(blake2b(salt, digest_size=SIZE).digest(), "little") >> 1  # room to count on from
    if isinstance(indices, range):
        return counting(base + indices.start, len(indices))
    return b"".join([(base + index).to_bytes(SIZE, "little") for index in indices])


def each_deepened(indices: Sequence[int], digests: bytes | None, salts: Sequence[bytes]) -> bytes:
    """Digests of calls that are each given something more of their own."""
    own = [index.to_bytes(SIZE, "little") for index in indices] if digests is None else _each(digests)
    return _rows(zip(own, salts, strict=True))


def through(indices: Sequence[int], digests: bytes | None, salts: Iterable[bytes]) -> bytes | None:
    """The digests of calls in a later step of a chain, each of whose steps is given something more."""
    for salt in salts:
        digests = deepened(indices, digests, salt)
    return digests


def weight(indices: Sequence[int], digests: bytes) -> int:
    """What calls add to their stage's sum: it depends on which digest has which number, and not on when it came.

    The digests are the digits of a number to the base 2^64, the first with the weight of its call's number, all of
    it modulo a prime: long division walks through them in C, for a third of what a sum of products takes.
    """
    if not isinstance(indices, range):
        return sum(
            weight(range(index, index + 1), digests[SIZE * at : SIZE * (at + 1)]) for at, index in enumerate(indices)
        )
    first, calls = first_of(digests), len(indices)
    if first is not None:
        return _weight_of_counted(indices.start, first, calls)
    total = 0
    for at in range(0, len(digests), _PART):
        number = int.from_bytes(digests[at : at + _PART], "little") % _PRIME
        total += number * pow(1 << 8 * SIZE, indices.start + at // SIZE, _PRIME)
    return total % _PRIME


def _weight_of_counted(start: int, first: int, calls: int) -> int:
    """The same of digests that count on: (first + k) x^k from k = 0 on, as the two sums that these are."""
    x = 1 << 8 * SIZE
    less = pow(x - 1, -1, _PRIME)
    end = pow(x, calls, _PRIME)
    ones = (end - 1) * less
    counts = (calls * end - x * ones) * less
    return (first * ones + counts) * pow(x, start, _PRIME) % _PRIME


def of_whole(total: int, dropped: Sequence[int], weights: int) -> bytes:
    """What tells one whole result of a stage from another."""
    return blake2b(repr((total, list(dropped), weights % _PRIME)).encode(), digest_size=SIZE).digest()


def _each(digests: bytes) -> list[bytes]:
    return [digests[at : at + SIZE] for at in range(0, len(digests), SIZE)]


def _rows(rows: Iterable[tuple[bytes, ...]]) -> bytes:
    # Cut here: to have the hash made of this size takes as long as the hash.
    return b"".join([blake2s(b"".join(row)).digest()[:SIZE] for row in rows])
