"""How much work each stage was in earlier runs of its pipeline: what the next run is ordered by."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import closing

from pipeline_runner.axes import Status
from pipeline_runner.record.errors import usable
from pipeline_runner.record.store import Store
from pipeline_runner.spec.pipeline import StageName

LOOKED_BACK = 5  # runs that are asked

_RUNS = """
SELECT id FROM run WHERE json_valid(body) AND json_extract(body, '$.identity') = ? ORDER BY began DESC, id DESC LIMIT ?
"""
# As the index has it: SQLite uses a partial index where it finds its words again.
_TIMES = """
SELECT stage, json_extract(body, '$.work_s') FROM event
WHERE run = ? AND kind = 'StageEnded' AND kind <> 'Printed' AND json_valid(body)
AND json_extract(body, '$.status') = ? AND json_extract(body, '$.work_s') > 0
"""


def recorded_times(store: Store, pipeline: str, stages: Collection[StageName]) -> dict[StageName, float]:
    """Seconds of work of those stages that were made, each as its newest run had it. Errors: StoreError."""
    found: dict[StageName, float] = {}
    with usable(store.database), closing(store.connect()) as connection:
        for (run,) in connection.execute(_RUNS, (pipeline, LOOKED_BACK)).fetchall():
            for stage, work_s in connection.execute(_TIMES, (run, Status.DONE.value)):
                if stage in stages:
                    found.setdefault(StageName(stage), float(work_s))
            if len(found) == len(stages):
                break
    return found
