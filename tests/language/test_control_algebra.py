"""What a skipped, failed or cancelled stage means for those that depend on it: the tables of docs/reference/control.md,
case by case."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline_runner import Pipeline

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("own_state")]

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "reference" / "control.md"


def rows(head: str) -> list[list[str]]:
    """The cells of the table that begins with this head."""
    lines = PAGE.read_text("utf-8").split(head)[1].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]


def ran(stages, **top):
    spec = {"version": 1, "stages": stages, **top}
    return Pipeline.from_text(json.dumps(spec), folder=HERE).run(workers=2)


def statuses(result):
    return {name: str(stage.status) for name, stage in result.state.stages.items()}


ITEMS = {"call": "control_deeds.py:same", "over": [1, 2, 3]}
ONE = {"call": "control_deeds.py:same", "with": {"value": [1, 2]}}
BAD = {"call": "control_deeds.py:fails"}
BAD_ITEM = {"call": "control_deeds.py:fails_at", "over": [1, 2, 3]}
OFF = {"off": {**ONE, "if": False}}
NO = {"no": {"call": "control_deeds.py:same", "with": {"value": 0}}}
BROKEN = {"broken": {**BAD, "on_error": "finish"}}

SOURCES = {
    "one call, well": {"x": ONE},
    "items, all well": {"x": ITEMS},
    "one call, `if: false`": {"x": {**ONE, "if": False}},
    "items, `if: false`": {"x": {**ITEMS, "if": False}},
    "one call, `if` false during the run": {**NO, "x": {**ONE, "if": "${stages.no > 0}"}},
    "items, `if` false during the run": {**NO, "x": {**ITEMS, "if": "stages.no > 0"}},
    "one call that depends on a skipped stage": {**OFF, "x": {**ONE, "needs": ["off"]}},
    "one call failed, `on_error: stop`": {"x": {**BAD, "on_error": "stop"}},
    "one call failed, `on_error: finish`": {"x": {**BAD, "on_error": "finish"}},
    "one call failed, `on_error: skip`": {"x": {**BAD, "on_error": "skip"}},
    "item 2 of 3 failed, `on_error: finish`": {"x": {**BAD_ITEM, "on_error": "finish"}},
    "item 2 of 3 failed, `on_error: skip`": {"x": {**BAD_ITEM, "on_error": "skip"}},
    "one call that depends on a failed stage": {**BROKEN, "x": {**ONE, "needs": ["broken"]}},
    "items that depend on a failed stage": {**BROKEN, "x": {**ITEMS, "needs": ["broken"]}},
}
TABLE = {row[0].strip("`"): row[1:] for row in rows("| `x` | ends as |")}


def test_every_row_of_the_table_is_a_case():
    assert set(TABLE) == {name.strip("`") for name in SOURCES}


@pytest.mark.parametrize("case", SOURCES)
def test_a_dependant_ends_as_the_table_says(case):
    ends, plain, always, value, calls = TABLE[case.strip("`")]
    result = ran(
        {
            **SOURCES[case],
            "reads": {"call": "control_deeds.py:same", "with": {"value": "${stages.x}"}},
            "goes": {"call": "control_deeds.py:same", "over": "${stages.x}"},
            "comes": {"call": "control_deeds.py:same", "needs": ["x"]},
            "reads_always": {"call": "control_deeds.py:same", "with": {"value": "${stages.x}"}, "if": "always"},
            "goes_always": {"call": "control_deeds.py:same", "over": "${stages.x}", "if": "always"},
            "comes_always": {"call": "control_deeds.py:same", "needs": ["x"], "if": "always()"},
        }
    )
    told = statuses(result)
    assert told["x"] == ends
    assert {told[name] for name in ("reads", "goes", "comes")} == {plain}
    assert {told[name] for name in ("reads_always", "goes_always", "comes_always")} == {always}
    assert result["reads_always"] == json.loads(value)
    assert f"{result.state.stages['goes_always'].done} calls" == calls
    assert result["goes_always"] == (json.loads(value) or [])


@pytest.mark.parametrize("case", SOURCES)
def test_what_is_not_run_says_why(case):
    ends, plain, *_ = TABLE[case.strip("`")]
    result = ran({**SOURCES[case], "comes": {"call": "control_deeds.py:same", "needs": ["x"]}})
    why = result.state.stages["comes"].why
    if plain == "done" or (ends == "failed" and "stop" in case):
        assert why == ""  # a run that is stopped says why once: by its failure
    else:
        assert why.startswith("it depends on x, which ")


KINDS = {
    "done": {"done": ONE},
    "skipped": {"skipped": {**ONE, "if": False}},
    "failed": {"failed": {**BAD, "on_error": "finish"}},
    "cancelled": {**BROKEN, "cancelled": {**ONE, "needs": ["broken"]}},
}


@pytest.mark.parametrize(("sources", "expected"), rows("| its sources |"))
def test_a_stage_with_several_sources_ends_as_the_table_says(sources, expected):
    stages, needs = {}, []
    for number, kind in enumerate(sources.split(", ")):
        *before, (_, own) = KINDS[kind].items()
        stages |= {**dict(before), f"{kind}{number}": own}
        needs.append(f"{kind}{number}")
    for order in (needs, needs[::-1]):
        result = ran({**stages, "last": {**ONE, "needs": order}})
        assert statuses(result)["last"] == expected


def test_of_several_sources_the_last_to_end_counts_too(tmp_path):
    """A failure that comes after a skip is not hidden by it."""
    late = {"call": "control_deeds.py:span", "with": {"value": 1, "log": str(tmp_path / "log")}}
    result = ran(
        {
            **NO,
            "skipped": {**ONE, "if": "${stages.no > 0}"},
            "late": late,
            "failed": {**BAD, "needs": ["late"], "on_error": "finish"},
            "last": {**ONE, "needs": ["skipped", "failed"]},
        }
    )
    assert statuses(result)["last"] == "cancelled"
    assert result.state.stages["last"].why == "it depends on failed, which failed"


@pytest.mark.parametrize("over", [["${stages.x}", [10, 20, 30]], {"value": "${stages.x}", "b": [10, 20, 30]}])
def test_a_column_without_values_takes_its_rows_along(over):
    call = "control_deeds.py:given" if isinstance(over, dict) else "control_deeds.py:same"
    zipped = {"call": call, "over": over, "args": "zip", "if": "always"}
    skipped = ran(
        {"x": {**ITEMS, "if": False}, "z": zipped if isinstance(over, dict) else {**zipped, "call": "operator:add"}}
    )
    assert statuses(skipped)["z"] == "done"
    assert skipped["z"] == []


def test_a_column_with_some_values_keeps_their_rows():
    result = ran(
        {
            "x": {**BAD_ITEM, "on_error": "finish"},
            "z": {"call": "operator:add", "over": ["${stages.x}", [10, 20, 30]], "args": "zip", "if": "always"},
        }
    )
    assert result["z"] == [11, 33]


def test_what_is_asked_of_a_value_that_is_not_there_is_null():
    result = ran(
        {
            "x": {**ONE, "if": False},
            "deep": {
                "call": "control_deeds.py:given",
                "with": {"a": "${stages.x.total}", "b": "so: ${stages.x.total}", "c": ["${stages.x[0]}"]},
                "if": "always",
            },
        }
    )
    assert result["deep"] == {"a": None, "b": "so: null", "c": [None]}


def test_a_command_is_given_null_too():
    result = ran(
        {
            "x": {**ONE, "if": False},
            "items": {**ITEMS, "if": False},
            "shell": {"run": "echo ${stages.x} ${stages.x.total}", "if": "always"},
            "words": {"run": ["echo", "${stages.x.total}", "n${stages.items | length}"], "if": "always"},
        }
    )
    assert (result["shell"].strip(), result["words"].strip()) == ("null null", "null n0")


def test_after_a_stop_only_what_is_to_run_always_runs(tmp_path):
    log = tmp_path / "log"
    note = {"call": "control_deeds.py:noted"}
    result = ran(
        {
            "bad": BAD,
            "tidy": {**note, "with": {"log": str(log), "text": "tidy"}, "needs": ["bad"], "if": "always"},
            "more": {**note, "with": {"log": str(log), "text": "more"}, "needs": ["tidy"], "if": "always"},
            "never": {**note, "with": {"log": str(log), "text": "never"}, "needs": ["tidy"]},
        }
    )
    assert log.read_text().split() == ["tidy", "more"]
    assert statuses(result) == {"bad": "failed", "tidy": "done", "more": "done", "never": "cancelled"}
    assert (str(result.status), result.exit_code) == ("failed", 1)


def test_a_stop_does_not_end_what_is_to_run_always(tmp_path):
    pipe, log = tmp_path / "pipe", tmp_path / "log"
    import os

    os.mkfifo(pipe)
    pipeline = Pipeline.from_text(
        json.dumps(
            {
                "version": 1,
                "stages": {
                    "tidy": {
                        "call": "control_deeds.py:waits_for",
                        "with": {"path": str(pipe), "text": "tidied", "log": str(log)},
                        "if": "always",
                    },
                    "bad": {**BAD, "needs": []},
                },
            }
        ),
        folder=HERE,
    )
    run = pipeline.start(workers=2)
    with run._engine.lock:
        run._engine.lock.wait_for(lambda: run.state.failures, 20)
    with pipe.open("w"):
        pass
    result = run.wait(20)
    assert statuses(result) == {"tidy": "done", "bad": "failed"}
    assert log.read_text() == "tidied\n"


def test_a_skipped_stage_makes_no_run_fail():
    result = ran({"x": {**ONE, "if": False}, "y": {**ONE, "needs": ["x"]}, "z": ONE})
    assert (str(result.status), result.exit_code) == ("done", 0)


def test_an_interrupted_run_ends_what_is_to_run_always_too(tmp_path):
    pipe = tmp_path / "pipe"
    import os

    os.mkfifo(pipe)
    spec = {
        "version": 1,
        "stages": {
            "waits": {"call": "control_deeds.py:waits_for", "with": {"path": str(pipe)}},
            "tidy": {**ONE, "needs": ["waits"], "if": "always"},
        },
    }
    run = Pipeline.from_text(json.dumps(spec), folder=HERE).start(workers=2)
    run.cancel()
    result = run.wait(20)
    assert statuses(result)["tidy"] == "cancelled"
    assert str(result.status) == "interrupted"
