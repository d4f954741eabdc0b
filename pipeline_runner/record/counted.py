"""Digests that count on from one call to the next: those of numbered calls that are all given one thing more.

They are made of a range at once, for a third of what an array of its numbers takes (18 ns a call, 57), and written down
as the first of them. Those that are hashes do not count on, but once in 2^64.
"""

from __future__ import annotations

from array import array
from functools import cache
from sys import byteorder

SIZE = 8  # bytes of a digest: a false match among a million calls has a chance of 1 in 10^7
_LONGEST = 1 << 16  # calls that are told by their first digest: as many as a chunk has
_BITS = 8 * SIZE


def counting(first: int, calls: int) -> bytes:
    """So many digests from this one on. The last must be less than 2^64."""
    parts = [_counting(first + at, min(calls - at, _LONGEST)) for at in range(0, calls, _LONGEST)]
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _counting(first: int, calls: int) -> bytes:
    ones, counts = _rulers()
    mask = (1 << _BITS * calls) - 1
    return (first * (ones & mask) + (counts & mask)).to_bytes(SIZE * calls, "little")


@cache
def _rulers() -> tuple[int, int]:
    """A one in each place, and the number of each place in it."""
    counts = array("Q", range(_LONGEST))
    if byteorder == "big":
        counts.byteswap()
    return (
        int.from_bytes((1).to_bytes(SIZE, "little") * _LONGEST, "little"),
        int.from_bytes(counts.tobytes(), "little"),
    )


def first_of(digests: bytes) -> int | None:
    """The first of two or more digests, if they count on from it: as their second, middle and last ones say."""
    calls = len(digests) // SIZE
    if calls < 2:
        return None
    first = _at(digests, 0)
    return first if all(_at(digests, at) == first + at for at in (1, calls // 2, calls - 1)) else None


def packed(digests: bytes) -> bytes:
    """As they are written down: only the first of those that count on."""
    short = len(digests) <= SIZE * _LONGEST and first_of(digests) is not None
    return digests[:SIZE] if short else digests


def unpacked(told: bytes, calls: int) -> bytes | None:
    """The digests of so many calls, of what was written down. None: it is not of so many."""
    if len(told) == SIZE * calls:
        return told
    first = _at(told, 0)
    whole = len(told) == SIZE and 0 < calls <= _LONGEST and first + calls <= 1 << _BITS
    return counting(first, calls) if whole else None


def _at(digests: bytes, at: int) -> int:
    return int.from_bytes(digests[SIZE * at : SIZE * (at + 1)], "little")
