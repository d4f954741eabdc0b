"""Digests: 8 bytes that tell what a call was given, through all the stages that its arguments came through.

A call's number and its stage's recipe say much already; a digest says the rest: the item, the digests of the
values that it was made of, the whole results that its `with` reads. Under one recipe, calls of one digest are
the same call, whatever their numbers are and in whichever run they were made.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from operator import mul
from typing import Any

from pipeline_runner.calls import Calls

SIZE = 8  # bytes: a false match among a million calls has a chance of 1 in 10^7


def told_apart(how: Callable[[Any], bytes], values: Sequence[Any]) -> bytes:
    """The digests of some items. One that has none gets what no other has: it will not be known again."""
    try:
        return b"".join(map(how, values))
    except Exception:  # what pickle, or an item's own class, raises
        return b"".join(_of_one(how, value) for value in values)


def _of_one(how: Callable[[Any], bytes], value: Any) -> bytes:
    try:
        return how(value)
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


def deepened(indices: Sequence[int], digests: bytes | None, salt: bytes, *, numbered: bool = False) -> bytes | None:
    """Digests of calls that are given something more: what `salt` stands for, or their own numbers."""
    if not salt and (digests is None or not numbered):
        return digests
    numbers = (
        [index.to_bytes(SIZE, "little") for index in indices] if digests is None or numbered else [b""] * len(indices)
    )
    own = [b""] * len(indices) if digests is None else _each(digests)
    return _rows((number, mine, salt) for number, mine in zip(numbers, own, strict=True))


def through(indices: Sequence[int], digests: bytes | None, salts: Iterable[bytes]) -> bytes | None:
    """The digests of calls in a later step of a chain, each of whose steps is given something more."""
    for salt in salts:
        digests = deepened(indices, digests, salt)
    return digests


def weight(indices: Sequence[int], digests: bytes) -> int:
    """What calls add to their stage's sum: it depends on which digest has which number, and not on when it came."""
    return sum(map(mul, array("Q", digests), (index + 1 for index in indices)))


def of_whole(total: int, dropped: Sequence[int], weights: int) -> bytes:
    """What tells one whole result of a stage from another."""
    return blake2b(repr((total, list(dropped), weights % 2**64)).encode(), digest_size=SIZE).digest()


def _each(digests: bytes) -> list[bytes]:
    return [digests[at : at + SIZE] for at in range(0, len(digests), SIZE)]


def _rows(rows: Iterable[tuple[bytes, ...]]) -> bytes:
    return b"".join(blake2b(b"".join(row), digest_size=SIZE).digest() for row in rows)
