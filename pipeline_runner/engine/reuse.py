"""Calls that an earlier run has ended well are not made again: their values are told at once, and only the others
go on to the feed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipeline_runner.calls import Calls, Pack
from pipeline_runner.classes import dataclass, replace
from pipeline_runner.engine.intake import Intake
from pipeline_runner.errors import PipelineError
from pipeline_runner.record.lineage import through
from pipeline_runner.record.reading import NotAtHand
from pipeline_runner.typed import Protocol

AT_ONCE = 4096  # calls that are looked up together


class NotThere(PipelineError):
    """A call of a stage that is not to run is not there from before."""

    def __init__(self, stage: str, index: int, why: str = "") -> None:
        super().__init__(stage, index, why)
        self.stage, self.index, self.why = stage, index, why

    def __str__(self) -> str:
        why = f": {self.why}" if self.why else ", as it would be made now"
        return f'{self.stage}[{self.index}] is not there from before{why}; run stage "{self.stage}" first'


class Found(Protocol):
    """Some neighbouring calls that an earlier run has kept: record.Found is one."""

    calls: int
    own: bool  # of this run, from an earlier try
    files: Sequence[str]  # that they have written

    def take(self, calls: int, digests: bytes | None) -> Pack | None: ...


class Earlier(Protocol):
    """What an earlier run has of a stage: record.Earlier is one."""

    hurried: bool  # whoever asks has no time to wait for much to be read: then NotAtHand is raised

    def find(self, index: int, digests: bytes | None, most: int, *, wanted: bool) -> Found | None: ...


@dataclass(frozen=True)
class Before:
    """What is known from before of one step of a chain."""

    kept: Earlier | None
    wanted: bool  # whether anybody else reads its values
    salt: bytes  # of what its calls are given beside their items


@dataclass(frozen=True)
class Reused:
    """Calls of one step that need not be made."""

    step: int
    numbers: range
    digests: bytes | None
    values: Pack | None  # where anybody reads them
    adopt: bool = False  # another run has made them


@dataclass(frozen=True)
class Standing:
    """The one call of a stage, which need not be made, and the files that it wrote."""

    call: Reused
    files: Sequence[str]


def at_hand(before: Before, digests: bytes | None) -> Standing | None:
    """What is kept of a stage's one call, looked up by a thread that has no time. None: it has to be made, or much
    would have to be read to tell."""
    if before.kept is None:
        return None
    before.kept.hurried = True
    try:
        found = before.kept.find(0, digests, 1, wanted=before.wanted)
    except NotAtHand:
        return None
    finally:
        before.kept.hurried = False
    if found is None:
        return None
    values = found.take(1, digests)
    return Standing(Reused(0, range(1), digests, values if before.wanted else None, not found.own), found.files)


class Reusing:
    """Another intake's calls, without those that need not be made.

    A call of a chain begins after the last step that was kept; the values of steps before that one
    must have been kept too where anybody else reads them. If that is the chain's last step, none of it runs.
    """

    def __init__(
        self,
        intake: Intake,
        steps: Sequence[Before],
        tell: Callable[[Sequence[Reused]], None],
        go_on: Callable[[Calls, int], None],
        *,
        taken: int = 0,
        refuse: Callable[[int, int], Exception] = lambda step, index: AssertionError("no call of it is to be made"),
    ) -> None:
        self._intake = intake
        self._steps = steps
        self._tell = tell
        self._go_on = go_on  # these calls are to begin at this step
        self._taken = taken  # of the first so many steps no call is to be made
        self._refuse = refuse  # (step, call): what to say where one would have to be
        self._gone_on = 0
        self._owed: list[Calls] = []

    @property
    def size(self) -> int | None:
        left = self._intake.size
        return None if left is None else left + sum(map(len, self._owed))

    @property
    def total(self) -> int:
        return self._intake.total

    @property
    def arrivals(self) -> int:
        return self._intake.arrivals + self._gone_on

    @property
    def dry(self) -> bool:
        return not self._owed and self._intake.dry

    def leave(self) -> None:
        self._intake.leave()

    def draw(self, most: int) -> Calls | None:
        gone_on = self._gone_on
        while not self._owed:
            calls = self._intake.draw(max(most, AT_ONCE))
            if not calls:
                return calls
            self._sort_out(calls)
            if not self._owed and self._gone_on > gone_on:
                return Calls(range(0))  # what is to go on is to be made first
        calls = self._owed.pop(0)
        if len(calls) > most:
            self._owed.insert(0, calls.cut(most, len(calls)))
            calls = calls.cut(0, most)
        return calls

    def _sort_out(self, calls: Calls) -> None:
        """Tell what is there already, and keep the rest."""
        digests = [
            through(calls.indices, calls.digests, [before.salt for before in self._steps[1 : step + 1]])
            for step in range(len(self._steps))
        ]
        told: list[Reused] = []
        at = owed_from = 0
        while at < len(calls):
            kept = self._kept(calls.indices, at, digests)
            if kept is None:
                if self._taken:
                    raise self._refuse(0, calls.indices[at])
                at += 1
                continue
            reused, carried = kept
            if owed_from < at:
                self._owed.append(calls.cut(owed_from, at))
            owed_from = at + len(reused[0].numbers)
            told += reused
            if carried is not None:
                if len(reused) < self._taken:
                    raise self._refuse(len(reused), calls.indices[at])
                self._gone_on += 1
                rest = replace(calls.cut(at, owed_from), columns=((carried,),), keywords=None)
                self._go_on(rest, len(reused))
            at = owed_from
        if owed_from < len(calls):
            self._owed.append(calls.cut(owed_from, len(calls)))
        if told:
            self._tell(told)

    def _kept(
        self, indices: Sequence[int], at: int, digests: Sequence[bytes | None]
    ) -> tuple[list[Reused], Pack | None] | None:
        """What need not be made of some neighbouring calls from `at` on: every step up to the latest that was kept.
        With it what the next step is to be given, if there is one. None: all of it must be made."""
        most = _run(indices, at)
        for last in reversed(range(len(self._steps))):
            ends = last == len(self._steps) - 1
            found = self._up_to(last, indices[at], [_cut(d, at, most) for d in digests], most, carry=not ends)
            if found is not None:
                return self._take(found, indices[at], [_cut(d, at, most) for d in digests], carry=not ends)
        return None

    def _up_to(
        self, last: int, index: int, digests: Sequence[bytes | None], most: int, *, carry: bool
    ) -> list[Found | None] | None:
        """What is kept of each step up to `last`; None when something that is needed is not."""
        found: list[Found | None] = []
        for step, before in enumerate(self._steps[: last + 1]):
            needed = before.wanted or (carry and step == last)
            if not needed and step != last:
                found.append(None)
                continue
            one = None if before.kept is None else before.kept.find(index, digests[step], most, wanted=needed)
            if one is None:
                return None
            most = min(most, one.calls)
            found.append(one)
        return found

    def _take(
        self, found: Sequence[Found | None], index: int, digests: Sequence[bytes | None], *, carry: bool
    ) -> tuple[list[Reused], Pack | None]:
        calls = min(one.calls for one in found if one is not None)
        reused: list[Reused] = []
        pack = None
        for step, one in enumerate(found):
            told = _cut(digests[step], 0, calls)
            pack = None if one is None else one.take(calls, told)
            values = pack if self._steps[step].wanted else None
            adopt = one is not None and not one.own
            reused.append(Reused(step, range(index, index + calls), told, values, adopt))
        return reused, pack._replace(digests=None) if carry and pack is not None else None


def _cut(digests: bytes | None, at: int, calls: int) -> bytes | None:
    return None if digests is None else digests[8 * at : 8 * (at + calls)]


def _run(indices: Sequence[int], at: int) -> int:
    """How many neighbouring numbers begin at this place."""
    if isinstance(indices, range):
        return len(indices) - at
    stop = at + 1
    while stop < len(indices) and indices[stop] == indices[stop - 1] + 1:
        stop += 1
    return stop - at
