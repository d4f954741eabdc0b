"""P13: a stream of a million items is read at most so far ahead, and the runner's memory does not grow with it.

A generator in the runner feeds a stage; another one reads its values as they come and keeps nothing; the journal is on.
Once the second stage is as fast as the first, once slower. `chunk` is fixed, so that chunks can be counted, and calls
count themselves in shared memory: the runner looks there while the generator is read, so no news is late.
"""

from __future__ import annotations

import gc
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import stream_deeds as deeds
from promise import Found, main

from pipeline_runner import Pipeline

HERE = Path(__file__).parent
WORKERS = 2
CHUNK = 500
AHEAD = 4  # chunks a worker
MOST_MIB = 5.0
WARM = 0.2  # of the items: then everything is imported, and every buffer has its size
WEIGH_EVERY = 5_000  # items


def proportional_mib() -> float:
    """Memory of this process, with its share of what it has in common with others."""
    text = Path("/proc/self/smaps_rollup").read_text()
    return int(next(line for line in text.splitlines() if line.startswith("Pss:")).split()[1]) / 1024


class Stream:
    """One stream: how far it was read ahead at most, and how much the runner grew."""

    def __init__(self, items: int, slow: bool) -> None:
        self.items = items
        self._slow = slow
        self._ahead = self._waiting = 0  # items, at most: read, and not made; made, and not read by the next
        self._warm_mib = self._most_mib = 0.0
        self.took_s = 0.0
        self.done = 0

    def run(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="prun-stream-"))
        self._made, self._dropped = str(folder / "made"), str(folder / "dropped")
        deeds.make_counts(self._made)
        deeds.make_counts(self._dropped)
        source = {"generate": "stream_deeds:numbers", "with": {"count": self.items}}
        work = {
            "call": "stream_deeds:same",
            "over": source,
            "with": {"counts": self._made},
            "chunk": CHUNK,
            "returns": "unordered",
        }
        end = {
            "call": "stream_deeds:drop",
            "over": "${stages.work}",
            "with": {"counts": self._dropped, "slow": self._slow},
            "chunk": CHUNK,
            "returns": "none",
            "workers": 1,
            "backend": "pathos",  # another pool: the two are not run in one trip
        }
        text = json.dumps({"version": 1, "name": "stream", "stages": {"work": work, "end": end}})
        deeds.look = self._look
        began = time.monotonic()
        try:
            result = Pipeline.from_text(text, folder=HERE).run(workers=WORKERS, keep=(), state=folder / "state")
            self.took_s = time.monotonic() - began
            self.done = result.state.stages["end"].done
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _look(self, read: int) -> None:
        made = deeds.counted(self._made)
        self._ahead = max(self._ahead, read - made)
        self._waiting = max(self._waiting, made - deeds.counted(self._dropped))
        if read % WEIGH_EVERY == 0:
            if read <= self.items * WARM:
                gc.collect()
                self._warm_mib = proportional_mib()
            self._most_mib = max(self._most_mib, proportional_mib())

    @property
    def chunks_ahead(self) -> int:
        return -(-self._ahead // CHUNK)

    @property
    def chunks_waiting(self) -> int:
        return -(-self._waiting // CHUNK)

    @property
    def grew_mib(self) -> float:
        return max(0.0, self._most_mib - self._warm_mib)

    def wrong(self) -> Iterator[str]:
        if self.done != self.items:
            yield f"{self.done} calls ended well, not {self.items}"
        if self.chunks_ahead > AHEAD * WORKERS:
            yield f"the source was read {self.chunks_ahead} chunks ahead, not at most {AHEAD * WORKERS}"
        # What waits, and besides what either stage has in flight, which may all have ended.
        if self.chunks_waiting > AHEAD * (WORKERS + WORKERS + 1):
            yield f"{self.chunks_waiting} chunks of values waited"
        if self.grew_mib >= MOST_MIB:
            yield f"the runner grew by {self.grew_mib:.1f} MiB"


def measure(size: int) -> Found:
    figures: dict[str, int | float | str] = {"items": size, "workers": WORKERS}
    wrong: list[str] = []
    for name, slow in (("fast reader", False), ("slow reader", True)):
        stream = Stream(size, slow)
        stream.run()
        figures[f"most chunks ahead, {name}"] = stream.chunks_ahead
        figures[f"most chunks waiting, {name}"] = stream.chunks_waiting
        figures[f"growth of the runner, {name}, MiB"] = round(stream.grew_mib, 2)
        figures[f"items a second, {name}"] = round(size / stream.took_s)
        wrong += [f"{name}: {sentence}" for sentence in stream.wrong()]
    return Found(figures, wrong)


if __name__ == "__main__":
    raise SystemExit(main("P13", measure, size=1_000_000, about=__doc__))
