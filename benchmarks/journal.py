"""`python benchmarks/journal.py`: what the journal costs, beside runs that keep nothing; interleaved, median of 5.

The ratio is that of two runs side by side; where others load the machine, the runner's own CPU says more.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline_runner import Pipeline

CASES = {
    "500,000 no-op items": {"call": "work:same", "over": {"range": 500_000}},
    "500,000 no-op items of a file": {"call": "work:same", "over": {"lines": "items"}},
    "5,000 calls, one a chunk": {"call": "work:same", "over": {"range": 5_000}, "chunk": 1},
}


def seconds(folder: Path, stage: dict[str, object], keep: bool, number: int) -> tuple[float, float]:
    """The wall time of a run, and the CPU time of the runner itself."""
    stages = {"a": {**stage, "method": "multiprocessing.Pool.imap"}}
    pipeline = Pipeline.from_text(json.dumps({"version": 1, "stages": stages}), folder=folder)
    began, own = time.perf_counter(), time.process_time()
    result = pipeline.run(workers=2, state=folder / f"state-{number}" if keep else False)
    if result.exit_code:
        raise SystemExit(f"it failed: {result.failures[:1]}")
    return time.perf_counter() - began, time.process_time() - own


def main() -> None:
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print("| case | without, s | with, s | ratio | CPU without, s | with, s |\n| --- | --- | --- | --- | --- | --- |")
    for name, stage in CASES.items():
        with tempfile.TemporaryDirectory() as top:
            os.environ["XDG_CONFIG_HOME"] = top
            folder = Path(top)
            (folder / "work.py").write_text("def same(x):\n    return x\n")
            (folder / "items").write_text("\n".join(map(str, range(500_000))))
            pairs = [(seconds(folder, stage, False, n), seconds(folder, stage, True, n)) for n in range(times)]
        ratio = statistics.median(kept / without for (without, _), (kept, _) in pairs)
        without, kept = (
            [statistics.median(column) for column in zip(*side, strict=True)] for side in zip(*pairs, strict=True)
        )
        print(
            f"| {name} | {without[0]:.2f} | {kept[0]:.2f} | {ratio:.2f} | {without[1]:.2f} | {kept[1]:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
