"""How far stages are that make one trip together, while they are at it."""

from __future__ import annotations

from pipeline_runner.axes import Status
from pipeline_runner.record.history import _count_on_the_way
from pipeline_runner.state import RunState, StageState


def test_what_has_come_out_of_a_trip_has_been_through_all_of_its_stages():
    state = RunState(
        stages={
            "alone": StageState(started=True, done=2),
            "first": StageState(started=True, failed=1),
            "second": StageState(started=True, failed=3, fused_into="first"),
            "third": StageState(started=True, done=10, fused_into="first"),
            "ended": StageState(started=True, done=4, status=Status.DONE),
            "waits": StageState(),
        }
    )
    _count_on_the_way(state)
    done = {name: stage.done for name, stage in state.stages.items()}
    assert done == {"alone": 2, "first": 13, "second": 10, "third": 10, "ended": 4, "waits": 0}
