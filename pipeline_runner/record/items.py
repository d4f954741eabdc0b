"""The calls of one stage in two runs, side by side: which is which, and whose value is another.

Values are compared by what tells them apart; see values.py.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping
from hashlib import sha256

from pipeline_runner.calls import Pack
from pipeline_runner.classes import dataclass
from pipeline_runner.record import values
from pipeline_runner.record.history import History
from pipeline_runner.typed import NamedTuple

MOST = 100_000  # calls of a stage that are compared one by one: some seconds


@dataclass(frozen=True)
class Items:
    """The calls of a stage that ended well, those of one run beside those of the other.

    A call is the same where it was given the same, and else where it comes in the same place. All numbers are the
    second run's, but those of `only_then`.
    """

    both: int = 0
    given: tuple[int, ...] = ()  # of those: which were given something else
    compared: int = 0  # of those: of how many both runs have the value
    differ: tuple[int, ...] = ()  # of these: whose value is another
    only_then: tuple[int, ...] = ()
    only_now: tuple[int, ...] = ()
    cut: bool = False  # there are more: these are the first MOST
    whole: bool = False  # of each of them the values could be compared


class Calls(NamedTuple):
    """Those of a stage in one run."""

    run: str
    stage: str
    number: int | None  # None: not known
    done: int  # of those: ended well


def compared(history: History, then: Calls, now: Calls) -> Items:
    """The calls of one run beside those of another. Errors: StoreError."""
    known: dict[bytes, list[bytes]] = {}  # chunks that both runs have are read once
    before, after = (_calls(history, calls, known) for calls in (then, now))
    pairs = _pairs(before, after)
    both = [(was, at) for was, at in pairs if _comparable(before[was].value, after[at].value)]
    # Where not all that ended well is kept, one that is not there may have ended well too.
    all_then, all_now = len(before) == then.done, len(after) == now.done
    told = bool(before and after)
    only_then = before.keys() - {was for was, _ in pairs} if told and all_now else ()
    only_now = after.keys() - {at for _, at in pairs} if told and all_then else ()
    return Items(
        both=len(pairs),
        given=tuple(sorted(at for was, at in pairs if before[was].given != after[at].given)),
        compared=len(both),
        differ=tuple(sorted(at for was, at in both if before[was].value != after[at].value)),
        only_then=tuple(sorted(only_then)),
        only_now=tuple(sorted(only_now)),
        cut=max(len(before), len(after)) == MOST,
        whole=all_then and all_now and len(both) == len(pairs),
    )


class _Call(NamedTuple):
    given: bytes | None  # what tells what it was given; None: its number says it
    value: bytes | None  # the same of its value; None: it was not kept


def _calls(history: History, calls: Calls, known: dict[bytes, list[bytes]]) -> dict[int, _Call]:
    """What is known of the first calls that ended well."""
    found: dict[int, _Call] = {}
    for row in history.each(calls.run, calls.stage, calls=calls.number):
        told = _told(row.pack, known)
        for at, index in enumerate(range(row.first, row.stop)):
            found[index] = _Call(row.digest(index), told[at] if told else None)
        if len(found) >= MOST:
            break
    return dict(list(found.items())[:MOST])


def _told(pack: Pack | None, known: dict[bytes, list[bytes]]) -> list[bytes]:
    """What tells each value of a pack from others; nothing where that is not known."""
    if pack is None:
        return []
    large = "" if pack.large is None else pack.large.path
    whole = sha256(f"{large}:{pack.start}:{pack.stop}:".encode() + pack.data).digest()
    if whole not in known:
        try:
            known[whole] = values.digests(pack)
        except values.TooLong:  # the same bytes are the same values; of others nothing is known
            known[whole] = [whole + str(number).encode() for number in range(pack.start, pack.stop)]
        except OSError:  # its file was taken away meanwhile
            known[whole] = []
    return known[whole]


def _comparable(then: bytes | None, now: bytes | None) -> bool:
    """Whether it is known if two values are the same."""
    return then is not None and now is not None and (then == now or len(then) == len(now) == values.SIZE)


def _pairs(then: Mapping[int, _Call], now: Mapping[int, _Call]) -> list[tuple[int, int]]:
    """Which call is which: by number and what it was given; by that alone; by its place after such a one."""
    known = {at: at for at, call in now.items() if at in then and then[at].given == call.given}
    left: dict[bytes, deque[int]] = defaultdict(deque)
    for was, call in then.items():
        if was not in known and call.given is not None:
            left[call.given].append(was)
    for at, call in now.items():
        if at not in known and call.given is not None and left[call.given]:
            known[at] = left[call.given].popleft()
    taken, moved = set(known.values()), 0
    for at in now:
        if at in known:
            moved = at - known[at]
        elif at - moved in then and at - moved not in taken:
            known[at] = at - moved
            taken.add(at - moved)
    return [(was, at) for at, was in known.items()]
