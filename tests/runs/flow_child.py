"""A long stream in a process of its own, which prints by how many bytes it has grown after the first tenth."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pipeline_runner import Pipeline
from pipeline_runner.events import ChunkEnded


def resident_bytes() -> int:
    kib = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(kib.split()[1]) * 1024


def main(kind: str, items: int, state: str) -> None:
    stages = {"make": {"call": "flow_deeds:text", "over": {"range": items}, "returns": "unordered", "workers": 1}}
    if kind == "stages":
        # A pool of its own: the values pass through the runner.
        own = {"env": {"OF_ITS_OWN": "1"}, "workers": 1, "method": "multiprocessing.Pool.imap_unordered"}
        stages["measure"] = {"call": "flow_deeds:measure", "over": "${stages.make}", "returns": "none", **own}
    text = json.dumps({"version": 1, "stages": stages})
    pipeline = Pipeline.from_text(text, folder=Path(__file__).parent)
    seen, least, most = 0, None, 0

    def look(more: int) -> None:
        nonlocal seen, least, most
        seen += more
        if seen >= items // 10:
            now = resident_bytes()
            least, most = least or now, max(most, now)

    if kind == "stages":
        last = [lambda e: look(e.calls) if isinstance(e, ChunkEnded) and e.stage == "measure" else None]
        assert pipeline.run(workers=2, state=state, keep=["measure"], on_event=last).exit_code == 0
    else:
        with pipeline.start(workers=2, state=state, keep=None) as run:
            for number, value in enumerate(run["make"], 1):
                assert len(value) == 200
                if number % 1000 == 0:
                    look(1000)
    assert seen == items, seen
    print(most - (least or 0))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
