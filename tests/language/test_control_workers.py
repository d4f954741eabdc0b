"""`threads`, `workdir` and `env`: what calls find around them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pipeline_runner import Pipeline, check
from pipeline_runner.plan.threads import VARIABLES

pytestmark = [pytest.mark.timeout(40), pytest.mark.usefixtures("own_state")]

HERE = Path(__file__).parent
FOUND = {"call": "at_import.py:found", "over": [1, 2]}


def made(stages, folder=HERE, **top):
    return Pipeline.from_text(json.dumps({"version": 1, "stages": stages, **top}), folder=folder)


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def found(workers=2, top=None, **keys):
    result = made({"x": {**FOUND, **keys}}, **(top or {})).run(workers=workers)
    (one,) = {json.dumps(value, sort_keys=True) for value in result["x"]}
    return json.loads(one)


ONE = dict.fromkeys(VARIABLES, "1")
NONE = dict.fromkeys(VARIABLES)


@pytest.mark.parametrize("start_method", ["forkserver", "spawn", "fork"])
def test_libraries_find_the_number_of_threads_when_they_are_imported(start_method):
    assert found(threads=3, start_method=start_method) == dict.fromkeys(VARIABLES, "3")


def test_it_is_one_where_there_are_several_workers():
    assert found() == ONE


def test_it_is_left_alone_where_there_is_one_worker():
    assert found(workers=1) == NONE


def test_it_is_left_alone_where_the_environment_says_otherwise(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    # By spawn, since a fork server has the environment in which it was started.
    assert found(start_method="spawn") == NONE | {"OMP_NUM_THREADS": "7"}
    assert found(threads=2) == dict.fromkeys(VARIABLES, "2")


def test_env_of_the_pipeline_or_the_stage_says_otherwise_too():
    assert found(env={"MKL_NUM_THREADS": "5"}) == NONE | {"MKL_NUM_THREADS": "5"}
    assert found(top={"env": {"MKL_NUM_THREADS": "5"}}) == NONE | {"MKL_NUM_THREADS": "5"}
    assert found(threads=2, env={"MKL_NUM_THREADS": "5"}) == dict.fromkeys(VARIABLES, "2") | {"MKL_NUM_THREADS": "5"}


def test_stages_with_other_threads_have_other_workers():
    result = made(
        {
            "one": {**FOUND, "threads": 1},
            "two": {**FOUND, "threads": 2, "needs": ["one"]},
            "again": {**FOUND, "threads": 1, "needs": ["two"]},
        }
    ).run(workers=2)
    assert [result[name][0]["OMP_NUM_THREADS"] for name in ("one", "two", "again")] == ["1", "2", "1"]


def test_the_plan_tells_of_threads():
    explained = made({"x": {**FOUND, "threads": 3}}).plan(workers=2).explain()
    assert "3 threads in each" in " ".join(explained.split())
    assert made({"x": FOUND}).plan(workers=2).to_json()["stages"]["x"]["threads"] == 1


def test_the_runners_own_environment_is_not_changed():
    found(threads=3)
    assert not any(name in os.environ for name in VARIABLES)


# The folder


@pytest.fixture
def place(tmp_path):
    """A pipeline's folder with its functions, and a folder `sub` in it."""
    for name in ("control_deeds.py", "at_import.py"):
        (tmp_path / name).write_text((HERE / name).read_text())
    (tmp_path / "sub").mkdir()
    return tmp_path


def test_calls_run_in_their_folder_and_functions_are_found_beside_the_pipeline(place):
    result = made(
        {
            "in": {"call": "control_deeds.py:here", "over": [1, 2], "workdir": "sub"},
            "one": {"call": "control_deeds:here", "workdir": "${params.where}"},
            "out": {"call": "control_deeds.py:here", "over": [1, 2]},
            "far": {"call": "control_deeds.py:here", "workdir": "/"},
        },
        folder=place,
        params={"where": "./sub"},
    ).run(workers=2)
    sub = str(place / "sub")
    assert (result["in"], result["one"], result["out"], result["far"]) == ([sub, sub], sub, [str(place)] * 2, "/")


def test_commands_run_in_their_folder_too(place):
    result = made({"x": {"run": "pwd", "workdir": "sub"}, "y": {"run": "pwd"}}, folder=place).run()
    assert (result["x"].strip(), result["y"].strip()) == (str(place / "sub"), str(place))


def test_each_call_begins_in_its_folder_again(place):
    (place / "moves.py").write_text(
        "import os\ndef moves(_):\n    here = os.getcwd()\n    os.chdir('/')\n    return here\n"
    )
    result = made({"x": {"call": "moves.py:moves", "over": {"range": 5}, "workdir": "sub"}}, folder=place).run(
        workers=2
    )
    assert set(result["x"]) == {str(place / "sub")}


def test_stages_that_stream_from_one_folder_to_another_keep_theirs(place):
    result = made(
        {
            "a": {"call": "control_deeds.py:here", "over": {"range": 3}, "workdir": "sub"},
            "b": {"call": "os:listdir", "over": "${stages.a}"},
            "c": {"call": "control_deeds.py:here", "over": "${stages.a}"},
        },
        folder=place,
    ).run(workers=2)
    assert set(result["a"]) == {str(place / "sub")}
    assert set(result["c"]) == {str(place)}


def test_a_folder_that_is_not_there_is_told_before_the_run():
    text = "version: 1\nstages:\n  x: {call: a:b, workdir: nope}\n"
    (problem,) = check(text)
    assert 'stage "x" runs in "nope", which is no folder' in str(problem)
    assert problem.mark.line == 3


def test_a_folder_that_another_stage_may_make_is_looked_for_when_the_stage_begins(place):
    stages = {
        "make": {"call": "control_deeds.py:makes", "with": {"folder": "made"}},
        "in": {"call": "control_deeds.py:here", "workdir": "made", "needs": ["make"]},
        "lost": {"call": "control_deeds.py:here", "workdir": "nope", "needs": ["make"], "on_error": "finish"},
    }
    result = made(stages, folder=place).run()
    assert result["in"] == str(place / "made")
    (failure,) = result.failures
    assert f'stage "lost" is to run in "nope", and there is no folder {place / "nope"}' in str(failure)


@pytest.mark.parametrize("backend", ["serial", "threads"])
def test_calls_in_the_runner_itself_have_no_folder_of_their_own(backend, place):
    text = json.dumps(
        {"version": 1, "stages": {"x": {"call": "a:b", "over": [1], "workdir": "sub", "backend": backend}}}
    )
    (problem,) = check(text, folder=place)
    assert "all share one folder" in str(problem)


def test_a_replayed_call_runs_in_its_folder(place):
    pipeline = made({"x": {"call": "control_deeds.py:here", "workdir": "sub"}}, folder=place)
    run = pipeline.run(state=place / "state")
    assert pipeline.replay(run.id, "x", state=place / "state") == str(place / "sub")
