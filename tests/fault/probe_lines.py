"""P14: what calls write arrives as whole lines, each with the item that wrote it, however many write at once.

Calls on several pools write by print, from a thread, through logging and warnings, by compiled code and from a child
process, all at the same time. Each line is counted as it is told, and again as the journal has it. Then one item
floods, and the others are timed.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import line_deeds as deeds
from probe_ends import WAYS as POOLS
from promise import Found, main

from pipeline_runner import Pipeline, events
from pipeline_runner.record.history import History
from pipeline_runner.record.store import Store

HERE = Path(__file__).parent
EACH = 100  # lines in each way of an item
AN_ITEM = EACH * len(deeds.WAYS)
WORKERS = 4
NEAR = 1.25  # times as long as without a flood
OTHERS = 100
TRIES = 3
BUSY_S = 3.0  # longer than the others take
LINE = re.compile(r"<(\d+) (\w+) (\d+) " + deeds.TAIL + ">")
Line = tuple[int | None, str]  # the item that it was told of, and what it says


def told(pool: Mapping[str, str], items: int, state: Path) -> tuple[list[Line], list[Line]]:
    """What a run tells of its lines: while it runs, and from its journal."""
    heard: list[Line] = []

    def hear(event: events.Event) -> None:
        if isinstance(event, events.Printed):
            heard.append((event.index, event.line))

    stage = {"call": "line_deeds:talk", "over": {"range": items}, "with": {"each": EACH}, **pool}
    stage["setup"] = "line_deeds:log_plainly"
    text = json.dumps({"version": 1, "name": "lines", "stages": {"talk": stage}})
    result = Pipeline.from_text(text, folder=HERE).run(workers=WORKERS, state=state, on_event=hear)
    history = History(Store(state, create=False))
    return heard, [(line.index, line.line) for line in history.lines(result.id)]


class Lines:
    """A count of what was told."""

    def __init__(self, lines: Iterable[Line], items: int) -> None:
        self.whole = self.torn = self.strange = 0
        seen: Counter[tuple[int, str, int]] = Counter()
        for index, line in lines:
            found = LINE.search(line)
            if found is None or len(LINE.findall(line)) > 1:
                # The second line of a warning shows the source of the call.
                self.torn += not line.strip().startswith("warnings.warn(")
                continue
            self.whole += 1
            self.strange += index != int(found[1])
            seen[int(found[1]), found[2], int(found[3])] += 1
        expected = items * AN_ITEM
        self.lost = expected - len(seen)
        self.twice = self.whole - len(seen)

    def wrong(self) -> Iterator[str]:
        kinds = {"torn": self.torn, "of another item": self.strange, "lost": self.lost, "told twice": self.twice}
        yield from (f"{count} lines {kind}" for kind, count in kinds.items() if count)


def beside_a_flood() -> tuple[float, float]:
    """How much longer the calls beside a flood take, as a ratio to those beside a call that waits; MB of the flood.

    Of several tries the best: what others do on this machine can only make it worse.
    """
    quiet_s = min(_others(flood=False)[0] for _ in range(TRIES))
    floods = [_others(flood=True) for _ in range(TRIES)]
    return min(took_s for took_s, _ in floods) / quiet_s, sum(written for _, written in floods) / 1e6


def _others(flood: bool) -> tuple[float, int]:
    """How long a hundred calls take on the one worker that the first call leaves them; bytes that that one wrote."""
    stage = {
        "call": "line_deeds:flood_or_work",
        "over": {"range": OTHERS + 1},
        "with": {"busy_s": BUSY_S, "flood": flood},
        "chunk": 1,
        "returns": "list",
    }
    text = json.dumps({"version": 1, "name": "flood", "stages": {"work": stage}})
    written, *spans = Pipeline.from_text(text, folder=HERE).run(workers=2, state=False)["work"]
    return max(end for _, end in spans) - min(began for began, _ in spans), written


def measure(size: int) -> Found:
    items = -(-size // (AN_ITEM * len(POOLS)))
    counts: list[Lines] = []
    wrong: list[str] = []
    for name, pool in POOLS.items():
        state = Path(tempfile.mkdtemp(prefix="prun-lines-"))
        try:
            for place, lines in zip(("told", "in the journal"), told(pool, items, state), strict=True):
                counts.append(Lines(lines, items))
                wrong += [f"{name}, {place}: {sentence}" for sentence in counts[-1].wrong()]
        finally:
            shutil.rmtree(state, ignore_errors=True)
    heard, journal = counts[::2], counts[1::2]
    ratio, flood_mb = beside_a_flood()
    if ratio > NEAR:
        wrong.append(f"beside a flood others take {ratio:.2f} times as long")
    return Found(
        {
            "lines told": sum(each.whole for each in heard),
            "lines in the journal": sum(each.whole for each in journal),
            "torn": sum(each.torn for each in counts),
            "of another item": sum(each.strange for each in counts),
            "lost": sum(each.lost for each in counts),
            "told twice": sum(each.twice for each in counts),
            "pools": len(POOLS),
            "written by the flood, MB": round(flood_mb),
            "others beside it, times as long": round(ratio, 2),
        },
        wrong,
    )


if __name__ == "__main__":
    raise SystemExit(main("P14", measure, size=480_000, about=__doc__))
