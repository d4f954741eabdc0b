"""How much work each stage was in earlier runs: the next run is ordered by it, and its first chunks are sized."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from contextlib import closing
from itertools import islice

from pipeline_runner.axes import Status
from pipeline_runner.classes import dataclass
from pipeline_runner.record.errors import usable
from pipeline_runner.record.profile import Piece
from pipeline_runner.record.store import Store
from pipeline_runner.spec.pipeline import StageName

LOOKED_BACK = 5  # runs that are asked

_RUNS = "SELECT id FROM run ORDER BY began DESC, id DESC"  # without what they were given, which may be long
_OF = "SELECT 1 FROM run WHERE id = ? AND json_valid(body) AND json_extract(body, '$.identity') = ?"
# As the index has it: SQLite uses a partial index where it finds its words again.
_TIMES = """
SELECT stage, json_extract(body, '$.work_s'), json_extract(body, '$.made'), json_extract(body, '$.profile') FROM event
WHERE run = ? AND kind = 'StageEnded' AND kind <> 'Printed' AND json_valid(body)
AND json_extract(body, '$.status') = ? AND json_extract(body, '$.work_s') > 0
"""


@dataclass(frozen=True)
class Work:
    """What the workers did for a stage, and for those that were fused into it, in one try of a run."""

    s: float  # of all workers together
    calls: int  # that ended well; 0: not told
    profile: Sequence[Piece] = ()  # of calls some of which took much longer than others

    @property
    def each_s(self) -> float | None:
        """How long a call took, on average."""
        return self.s / self.calls if self.calls else None


def recorded_times(store: Store, pipeline: str, stages: Collection[StageName]) -> dict[StageName, Work]:
    """The work of those stages that were made, each as its newest run had it. Errors: StoreError."""
    found: dict[StageName, Work] = {}
    with usable(store.database), closing(store.connect()) as connection:
        runs = (run for (run,) in connection.execute(_RUNS).fetchall())
        ours = (run for run in runs if connection.execute(_OF, (run, pipeline)).fetchone())
        for run in islice(ours, LOOKED_BACK):
            for stage, work_s, made, profile in connection.execute(_TIMES, (run, Status.DONE.value)):
                if stage in stages:
                    found.setdefault(StageName(stage), Work(float(work_s), made or 0, _pieces(profile)))
            if len(found) == len(stages):
                break
    return found


def _pieces(profile: str | None) -> Sequence[Piece]:
    """As the journal has them; none in one of before there were any, or in a row that is damaged."""
    try:
        return [Piece(int(first), int(calls), float(s)) for first, calls, s in json.loads(profile or "[]") if calls > 0]
    except (TypeError, ValueError):
        return ()
