"""Events come back from the journal as they went in."""

from __future__ import annotations

import dataclasses

import pytest

from pipeline_runner import events
from pipeline_runner.axes import Status
from pipeline_runner.calls import Cause, Failure
from pipeline_runner.record.codec import decode, encode

KINDS = sorted(
    (kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, events.Event)),
    key=lambda kind: kind.__name__,
)
FAILURE = Failure(Cause.LOST, "WorkerDied", "né \ud800 \x00", "trace", ("A", "B"), b"\x00\xff")
SAMPLES = {
    "str": ["x", "né\n\ud800"],
    "int": [0, 7],
    "int | None": [None, 3],
    "float": [0.25],
    "float | None": [None, 0.5],
    "bool": [True, False],
    "str | None": [None, "head"],
    "tuple[str, ...]": [(), ("a", "b")],
    "tuple[tuple[str, str], ...]": [(), (("data/a.csv", "ab12"), ("conf", ""))],
    "tuple[tuple[int, int, float], ...]": [(), ((3, 1, 0.25), (0, 2, 0.125))],
    "tuple[int, ...] | range": [(1, 5, 3), range(2, 9)],
    "range": [range(4)],
    "Status": list(Status),
    "Failure": [FAILURE, dataclasses.replace(FAILURE, pickled=None)],
}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_event_comes_back(kind):
    columns = [SAMPLES[field.type] for field in dataclasses.fields(kind)]
    for turn in range(max(map(len, columns))):
        given = {f.name: c[turn % len(c)] for f, c in zip(dataclasses.fields(kind), columns, strict=True)}
        event = kind(**given)
        assert decode(kind.__name__, encode(event)) == [event]


def test_a_kind_that_is_not_known_is_nothing_and_a_damaged_one_is_an_error():
    assert decode("FromTheFuture", "{}") == []
    whole = encode(events.StageEnded(stage="a", status=Status.DONE, took_s=1.0))
    for body in (
        "{",
        "{}",
        '{"run": 1}',
        "[]",
        whole[:-1] + ', "before": 1}',
        whole[:-1] + ', "before": [["StageStarted", 1]]}',
    ):
        with pytest.raises(ValueError):  # noqa: PT011
            decode("StageEnded", body)


def test_a_field_that_a_later_version_adds_is_left_out():
    event = events.PoolReplaced(stage="a", why="w")
    assert decode("PoolReplaced", encode(event)[:-1] + ', "new": 1}') == [event]


def test_a_row_tells_what_came_before_it_too():
    began = events.StageStarted(stage="a", method="m", calls=1)
    reused = events.CallsReused(stage="a", indices=range(1))
    ended = events.StageEnded(stage="a", status=Status.REUSED, took_s=0.1)
    assert decode("StageEnded", encode(ended, [began, reused])) == [began, reused, ended]
