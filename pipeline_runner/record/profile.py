"""How long which calls of a stage took, in some pieces; and the order of the next run: the longest first.

Who deals out the longest first is never left with one long call at the end (Graham, 1969). Of calls that went together
in a chunk only the mean is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline_runner.classes import dataclass

MOST = 64  # pieces that are told, or nearly: each a sixty-fourth of the time, and more of it where one chunk took more
HELD = 1024  # pieces after which those that are short are put together
UNEVEN = 2.0  # times the mean, from which on a call is a long one
LEAST_S = 0.01  # of a long call: the last chunks are small enough to end together where all are shorter


@dataclass(frozen=True)
class Piece:
    """Calls that follow each other."""

    first: int
    calls: int
    s: float  # of all of them


class Profile:
    """Learns of chunks as they end."""

    def __init__(self) -> None:
        self._pieces: list[tuple[int, int, float]] = []

    def learn(self, indices: Sequence[int], calls: int, took_s: float) -> None:
        """A chunk has ended: the first `calls` of these."""
        if calls and indices[calls - 1] - indices[0] == calls - 1:
            self._pieces.append((indices[0], calls, took_s))
            if len(self._pieces) == HELD:
                self._pieces = _together(self._pieces)

    def told(self) -> tuple[tuple[int, int, float], ...]:
        """First call, calls, and seconds of each piece, in their order; nothing where all calls are about as long."""
        calls, s = sum(piece[1] for piece in self._pieces), sum(piece[2] for piece in self._pieces)
        if not any(_long(piece[2] / piece[1], s / calls) for piece in self._pieces):
            return ()
        return tuple((first, calls, round(s, 6)) for first, calls, s in _together(self._pieces))


def _long(each_s: float, mean_s: float) -> bool:
    return each_s > max(LEAST_S, UNEVEN * mean_s)


def _together(pieces: Iterable[tuple[int, int, float]]) -> list[tuple[int, int, float]]:
    """Neighbours put together as long as all of them are short."""
    ordered = sorted(pieces)
    short = sum(s for _, _, s in ordered) / MOST
    found: list[tuple[int, int, float]] = []
    for first, calls, s in ordered:
        if found and found[-1][0] + found[-1][1] == first and found[-1][2] + s <= short:
            before = found.pop()
            first, calls, s = before[0], before[1] + calls, before[2] + s
        found.append((first, calls, s))
    return found


def longest_first(profile: Sequence[Piece], calls: int) -> list[range]:
    """All numbers of so many calls in parts: those of long calls, the longest first; then the others in their order."""
    known = sum(piece.calls for piece in profile)
    mean_s = sum(piece.s for piece in profile) / known if known else 0.0
    long: list[tuple[float, range]] = []
    others: list[range] = []
    at = 0
    for piece in sorted(profile, key=lambda piece: piece.first):
        each_s, numbers = piece.s / piece.calls, range(max(at, piece.first), min(piece.first + piece.calls, calls))
        if numbers and _long(each_s, mean_s):
            long.append((each_s, numbers))
            others.append(range(at, numbers.start))
            at = numbers.stop
    others.append(range(at, calls))
    return [part for part in (*(part for _, part in sorted(long, key=lambda part: -part[0])), *others) if part]
