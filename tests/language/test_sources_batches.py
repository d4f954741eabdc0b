"""`{batches: …}`: lists of items, from sources that are there and from stages that still run."""

from __future__ import annotations

import json
import os

import pytest

from pipeline_runner import Pipeline, Stage
from pipeline_runner.plan.plan import EdgeKind
from pipeline_runner.record.history import History
from pipeline_runner.record.store import Store
from pipeline_runner.replaying import replayed

pytestmark = pytest.mark.timeout(60)

FUNCTIONS = """
from pathlib import Path
def same(x): return x
def count():
    n = 0
    while True:
        yield n
        n += 1
def gated(x, gate, at):
    if x == at:
        with open(gate): pass
    return x
def odd(x):
    if x % 2 == 0:
        raise ValueError(x)
    return x
def note(batch):
    with open(Path(__file__).parent / "made", "a") as file: file.write(f"{batch}\\n")
    return sum(batch)
def spread(*batch): return list(batch)
def at(batch, number): return [number, batch]
def names(batch): return [Path(name).read_text() for name in batch]
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "work.py").write_text(FUNCTIONS)
    return folder


@pytest.fixture
def made(project):
    def made(stages, **top):
        (project / "pipeline.yaml").write_text(json.dumps({"version": 1, "stages": stages, **top}))
        return Pipeline.load(project / "pipeline.yaml")

    return made


def told(project):
    """The batches of which calls were made since this was asked last."""
    file = project / "made"
    lines = file.read_text().splitlines() if file.exists() else []
    file.unlink(missing_ok=True)
    return sorted(lines)


@pytest.mark.parametrize(
    ("source", "size", "batches"),
    [
        ([1, 2, 3, 4, 5], 2, [[1, 2], [3, 4], [5]]),
        ([1, 2, 3, 4], 2, [[1, 2], [3, 4]]),
        ([1], 100, [[1]]),
        ([], 2, []),
        ({"range": 3}, 1, [[0], [1], [2]]),
        ("${params.names}", "${params.size}", [["a", "b"], ["c"]]),
        ({"lines": "lines.txt"}, 2, [["one", "two"], ["three"]]),
        ({"generate": "work:count", "take": 3}, 2, [[0, 1], [2]]),
        ({"batches": {"range": 5}, "size": 2}, 2, [[[0, 1], [2, 3]], [[4]]]),
        ({"matrix": {"a": [1, 2], "b": [3]}}, 2, [[{"a": 1, "b": 3}, {"a": 2, "b": 3}]]),
        ([[1, 2], [3]], 2, [[[1, 2], [3]]]),
    ],
)
def test_items_come_in_lists_the_last_one_shorter(made, project, source, size, batches):
    (project / "lines.txt").write_text("one\ntwo\nthree\n")
    stage = {"call": "work:same", "over": {"batches": source, "size": size}, "returns": "list", "backend": "serial"}
    pipeline = made({"a": stage}, params={"names": ["a", "b", "c"], "size": 2})
    assert pipeline.run(workers=1)["a"] == batches
    assert pipeline.plan().stages["a"].calls in (len(batches), None)


def test_a_batch_may_be_spread_and_numbered_and_stand_beside_others(made):
    over = {"batches": {"range": 3}, "size": 2}
    stages = {
        "star": {"call": "work:spread", "over": over, "args": "star", "returns": "list"},
        "numbered": {"call": "work:at", "over": over, "with": {"number": "${index}"}, "returns": "list"},
        "last": {"call": "work:at", "over": over, "with": {"number": "${item | last}"}, "returns": "list"},
        "beside": {"call": "work:at", "over": [over, ["x", "y"]], "returns": "list"},
    }
    result = made(stages).run(workers=2, keep="all")
    assert result["star"] == [[0, 1], [2]]
    assert result["numbered"] == [[0, [0, 1]], [1, [2]]]
    assert result["last"] == [[1, [0, 1]], [2, [2]]]
    assert result["beside"] == [["x", [0, 1]], ["y", [2]]]


def test_a_batch_starts_as_soon_as_its_items_are_there(made, tmp_path):
    gate = str(tmp_path / "gate")
    os.mkfifo(gate)
    pipeline = made(
        {
            "items": {
                "call": "work:gated",
                "over": {"range": 7},
                "with": {"gate": gate, "at": 6},
                "returns": "iterator",
                "chunk": 1,
            },
            "a": {"call": "work:same", "over": {"batches": "${stages.items}", "size": 3}, "returns": "iterator"},
        }
    )
    (edge,) = pipeline.plan().edges
    assert edge.kind is EdgeKind.STREAM
    with pipeline.start(workers=2, keep="all") as run:
        values = run["a"]
        assert [next(values), next(values)] == [[0, 1, 2], [3, 4, 5]]
        assert run.state.stages["items"].status is None
        with open(gate, "w"):
            pass
        assert list(values) == [[6]]


def test_batches_wait_for_a_stage_that_does_not_stream(made):
    pipeline = made(
        {
            "items": {"call": "work:same", "over": {"range": 5}, "returns": "list"},
            "a": {"call": "work:same", "over": {"batches": "${stages.items}", "size": 2}, "returns": "list"},
        }
    )
    (edge,) = pipeline.plan().edges
    assert (edge.kind, edge.why) == (EdgeKind.BARRIER, "items returns list, which is there when all of it is")
    assert pipeline.plan().stages["a"].calls == 3
    assert pipeline.run(workers=2)["a"] == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize("source", ["${stages.one}", "${stages.many | sort(reverse=true)}", "${stages.one[1:]}"])
def test_batches_of_what_is_known_when_a_stage_has_ended(made, source):
    stages = {
        "one": {"call": "work:same", "with": {"x": [1, 2, 3]}},
        "many": {"call": "work:same", "over": [1, 2, 3]},
        "a": {"call": "work:same", "over": {"batches": source, "size": 2}, "returns": "list"},
    }
    given = {"${stages.one}": [[1, 2], [3]], "${stages.one[1:]}": [[2, 3]]}.get(source, [[3, 2], [1]])
    assert made(stages).run(workers=2)["a"] == given


def test_batches_larger_than_the_window_do_not_stop_the_stage_that_they_wait_for(made):
    stages = {
        "items": {"call": "work:same", "over": {"range": 500}, "returns": "iterator", "chunk": 1, "window": 2},
        "a": {"call": "work:same", "over": {"batches": "${stages.items}", "size": 400}, "returns": "list"},
    }
    assert made(stages).run(workers=2)["a"] == [list(range(400)), list(range(400, 500))]


def test_batches_as_they_end_have_every_item_once(made):
    stages = {
        "items": {"call": "work:same", "over": {"range": 50}, "returns": "unordered", "chunk": 1},
        "a": {"call": "work:same", "over": {"batches": "${stages.items}", "size": 7}, "returns": "list"},
    }
    batches = made(stages).run(workers=2)["a"]
    assert [len(batch) for batch in batches] == [7] * 7 + [1]
    assert sorted(item for batch in batches for item in batch) == list(range(50))


def test_items_of_failed_calls_are_in_no_batch(made):
    stages = {
        "items": {"call": "work:odd", "over": {"range": 10}, "returns": "iterator", "on_error": "skip"},
        "a": {"call": "work:same", "over": {"batches": "${stages.items}", "size": 2}, "returns": "list"},
    }
    assert made(stages).run(workers=2)["a"] == [[1, 3], [5, 7], [9]]


def test_batches_of_an_endless_generator_are_drawn_as_they_are_read(made):
    stage = {"call": "work:same", "over": {"batches": {"generate": "work:count"}, "size": 3}, "returns": "iterator"}
    with made({"a": stage}).start(workers=2) as run:
        values = run["a"]
        assert [next(values), next(values)] == [[0, 1, 2], [3, 4, 5]]
        run.cancel()


def test_a_source_that_grew_has_only_its_last_batch_and_new_ones_made(made, project):
    def stages(items):
        return {"a": {"call": "work:note", "over": {"batches": items, "size": 2}, "returns": "list"}}

    made(stages([1, 2, 3])).run(workers=2)
    assert told(project) == ["[1, 2]", "[3]"]
    assert made(stages([1, 2, 3, 4, 5])).run(workers=2, resume=True)["a"] == [3, 7, 5]
    assert told(project) == ["[3, 4]", "[5]"]


@pytest.mark.parametrize("returns", ["iterator", "list"])
def test_batches_of_a_stage_are_known_again(made, project, returns):
    stages = {
        "items": {"call": "work:same", "over": {"range": 5}, "returns": returns},
        "a": {"call": "work:note", "over": {"batches": "${stages.items}", "size": 2}, "returns": "list"},
    }
    made(stages).run(workers=2, keep="all")
    assert told(project) == ["[0, 1]", "[2, 3]", "[4]"]
    assert made(stages).run(workers=2, resume=True)["a"] == [1, 5, 4]
    assert told(project) == []
    stages["items"]["over"] = {"range": 6}
    assert made(stages).run(workers=2, resume=True)["a"] == [1, 5, 9]
    assert told(project) == ["[4, 5]"]


def test_batches_that_are_known_again_are_read_live_like_any_others(made, project):
    stages = {"a": {"call": "work:note", "over": {"batches": {"range": 5}, "size": 2}, "returns": "iterator"}}
    made(stages).run(workers=2)
    with made(stages).start(workers=2, resume=True) as run:
        assert list(run["a"]) == [1, 5, 4]
    assert str(run.state.stages["a"].status) == "reused"


def test_a_file_that_changed_has_its_batch_made_again(made, project):
    for name in "abc":
        (project / f"{name}.txt").write_text(name)
    stages = {"a": {"call": "work:names", "over": {"batches": {"glob": "*.txt"}, "size": 2}, "returns": "list"}}
    made(stages).run(workers=2)
    (project / "b.txt").write_text("B!")
    result = made(stages).run(workers=2, resume=True)
    assert result["a"] == [["a", "B!"], ["c"]]
    assert result.state.stages["a"].reused == 1


@pytest.mark.parametrize(
    ("stages", "item", "value"),
    [
        ({"a": {"call": "work:same", "over": {"batches": [1, 2, 3], "size": 2}}}, 1, [3]),
        ({"a": {"call": "work:same", "over": {"batches": {"batches": {"range": 9}, "size": 2}, "size": 2}}}, 1, [[4, 5], [6, 7]]),
        ({"a": {"call": "work:same", "over": {"matrix": {"x": [1, 2], "y": [3]}}}}, 1, {"x": 2, "y": 3}),
        (
            {
                "items": {"call": "work:odd", "over": {"range": 10}, "returns": "iterator", "on_error": "skip"},
                "a": {"call": "work:same", "over": {"batches": "${stages.items}", "size": 2}},
            },
            1,
            [5, 7],
        ),
        (
            {
                "one": {"call": "work:same", "with": {"x": [1, 2, 3]}},
                "a": {"call": "work:same", "over": {"batches": "${stages.one}", "size": 2}},
            },
            1,
            [3],
        ),
        (
            {
                "items": {"call": "work:same", "over": [1, 2]},
                "a": {"call": "work:same", "over": {"matrix": {"x": "${stages.items}", "y": [3]}}},
            },
            1,
            {"x": 2, "y": 3},
        ),
    ],
)  # fmt: skip
def test_a_call_of_the_new_sources_is_replayed(made, project, stages, item, value):
    pipeline = made(stages)
    result = pipeline.run(workers=2, keep="all")
    replay = replayed(History(Store(project / ".prun", create=False)), result.id, pipeline.plan(), "a", item)
    assert replay.run() == value
    assert replay.notes == ()


def test_batches_in_python_are_drawn_lazily_and_an_iterator_only_once():
    pipeline = Pipeline("p", [Stage("a", call=sum, over={"batches": iter([1, 2, 3]), "size": 2}, backend="serial")])
    assert pipeline.run(workers=1, keep="all")["a"] == [3, 3]
    assert str(pipeline.run(workers=1, keep="all").failures[0].failure).startswith("UsedUp")
