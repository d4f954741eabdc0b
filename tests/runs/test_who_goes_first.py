"""Which of the stages that are ready begins first, and that none is kept from a worker that is idle."""

from __future__ import annotations

import pytest

from pipeline_runner.events import StageStarted

pytestmark = pytest.mark.timeout(60)

NOTHING = {"call": "deeds.py:nothing"}


@pytest.fixture
def order(made, tmp_path):
    """Run stages with one worker, and give the order in which they began; all runs of a test have one journal."""

    def order(stages):
        events = []
        made(stages).run(workers=1, state=tmp_path / "state", on_event=events.append)
        return [event.stage for event in events if isinstance(event, StageStarted)]

    return order


def test_a_stage_that_waits_for_its_stream_keeps_no_other_from_an_idle_worker(run, gate):
    ran = run(
        {
            "s": {
                "call": "deeds.py:pass_gate",
                "over": [0],
                "with": {"gate": gate.path, "at": 0},
                "method": "multiprocessing.Pool.imap",
            },
            "after": {"call": "deeds.py:double", "over": "${stages.s}", "method": "pathos.ProcessPool.uimap"},
            "b": {"call": "deeds.py:open_gate", "over": [0], "with": {"gate": gate.path, "at": 0}},
        },
        workers=2,
    )
    assert (ran.status, ran["after"]) == ("done", [0])


def test_in_a_first_run_stages_begin_in_the_order_of_the_file_where_nothing_tells_them_apart(order):
    names = ["z", "b", "y", "a"]
    assert order(dict.fromkeys(names, NOTHING)) == names


def test_in_a_first_run_the_stage_that_most_stages_follow_in_a_line_begins_first(order):
    stages = {
        "alone": NOTHING,
        "first": NOTHING,
        "second": {**NOTHING, "needs": ["first"]},
        "third": {**NOTHING, "needs": ["second"]},
    }
    assert order(stages) == ["first", "second", "alone", "third"]


def test_a_later_run_begins_with_the_way_that_took_longest(order):
    stages = {
        "quick": NOTHING,
        "quicker": {**NOTHING, "needs": ["quick"]},
        "slow": {"call": "deeds.py:linger", "with": {"seconds": 0.3}},
    }
    assert order(stages) == ["quick", "quicker", "slow"]
    assert order(stages) == ["slow", "quick", "quicker"]


def test_priority_goes_before_any_way(order):
    stages = {
        "long": {"call": "deeds.py:linger", "with": {"seconds": 0.1}},
        "urgent": {**NOTHING, "priority": 1},
    }
    assert order(stages) == order(stages) == ["urgent", "long"]


SLOW = {"call": "deeds.py:slowly", "with": {"seconds": 0.05}}
BESIDE = {
    "heads, and a worker for only one of them": {
        "b": {**SLOW, "over": [1, 2, 3, 4], "priority": 3},
        "c": {"call": "deeds.py:double", "over": [1, 2, 3, 4]},
        "x": {**SLOW, "over": {"range": 6}, "priority": 2},
    },
    "heads that wait for different ends": {
        "one": {"call": "deeds.py:listed", "with": {"items": [1, 2, 3, 4]}},
        "two": {"call": "deeds.py:listed", "with": {"items": [1, 2, 3, 4], "seconds": 0.3}},
        "b": {"call": "deeds.py:same", "over": "${stages.one}"},
        "c": {"call": "deeds.py:double", "over": "${stages.two}"},
    },
    "heads of which one needs another stage first": {
        "first": {**SLOW, "with": {"item": 1, "seconds": 0.3}},
        "b": {"call": "deeds.py:same", "over": [1, 2, 3, 4]},
        "c": {"call": "deeds.py:double", "over": [1, 2, 3, 4], "needs": ["first"]},
    },
}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("stages", BESIDE.values(), ids=BESIDE)
def test_what_is_streamed_side_by_side_and_kept_by_nobody_all_arrives(made, stages, workers):
    d = {"call": "deeds.py:add", "over": ["${stages.b}", "${stages.c}"]}
    result = made({**stages, "d": d}).run(workers=workers, keep=())
    assert (str(result.status), result["d"]) == ("done", [3, 6, 9, 12])
