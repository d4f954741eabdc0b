"""The state of a run is the fold of its events."""

from __future__ import annotations

from pipeline_runner import events
from pipeline_runner.axes import Status
from pipeline_runner.calls import Cause, Failure
from pipeline_runner.state import RunState

FAILURE = Failure(Cause.RAISED, "ValueError", "no")


def fold(*told):
    state = RunState()
    for event in (events.RunStarted(run="r", pipeline="p", workers=2, stages=("a", "b")), *told):
        state.take(event)
    return state


def test_a_run_that_has_begun():
    state = fold()
    assert (state.run, state.pipeline, state.workers, list(state.stages), state.status) == (
        "r",
        "p",
        2,
        ["a", "b"],
        None,
    )
    assert not state.stages["a"].started


def test_a_stage_from_start_to_end():
    state = fold(
        events.StageStarted(stage="a", method="m", calls=None),
        events.CallsDone(stage="a", chunk=0, indices=range(3), size_bytes=9),
        events.CallRetried(stage="a", index=3, tries=1, limit=2, wait_s=0.0, failure=FAILURE),
        events.CallFailed(stage="a", index=3, tries=2, failure=FAILURE),
        events.StageEnded(stage="a", status=Status.DONE, took_s=1.5),
    )
    stage = state.stages["a"]
    assert (stage.started, stage.method, stage.done, stage.failed, stage.retried) == (True, "m", 3, 1, 1)
    assert (stage.calls, stage.status, stage.seconds) == (4, Status.DONE, 1.5)
    assert [str(failed) for failed in state.failures] == ['stage "a", call 3: ValueError: no']


def test_a_number_of_calls_that_is_known_late():
    state = fold(events.StageStarted(stage="a", method="m", calls=None), events.CallsKnown(stage="a", calls=7))
    assert state.stages["a"].calls == 7


def test_deaths_and_the_end():
    died = events.WorkerDied(stage="a", pid=1, exitcode=-9, calls=(0,))
    state = fold(died, events.RunEnded(status=Status.FAILED, took_s=2.0))
    assert (state.deaths, state.status, state.seconds) == ([died], Status.FAILED, 2.0)


def test_events_that_change_nothing_are_taken_all_the_same():
    before = fold()
    after = fold(
        events.Printed(stage="a", index=0, stream="stdout", line="hello"),
        events.PoolReplaced(stage="a", why="a worker died"),
        events.RoundStarted(stage="a", number=1, workers=2),
    )
    assert before == after
