"""One run on each cluster that meets all that can happen to calls: what comes out is what any pool gives."""

import json
import os
import time

import pytest

pytestmark = pytest.mark.timeout(150)

BACKENDS = ["dask", "ray", "mpi"]
STAGES = {
    "doubled": {"call": "deeds:double", "over": {"range": 12}, "returns": "iterator"},
    "streamed": {"call": "deeds:add", "over": "${stages.doubled}", "with": {"y": 1}},
    "on_a_pool": {"call": "deeds:add", "over": "${stages.doubled}", "backend": "multiprocessing"},
    "sum": {"call": "builtins:sum", "with": ["${stages.streamed}"]},
    "unordered": {"call": "deeds:add", "over": {"range": 6}, "returns": "unordered"},
    "rows": {"call": "deeds:add", "over": [[1, 2], [3, 4]], "args": "star"},
    "columns": {"call": "deeds:add", "over": {"x": [1, 2], "y": [3, 4]}, "args": "zip"},
    "single": {"call": "deeds:add", "over": [[1, 2], [3, 4]], "args": "single"},
    "bad": {"call": "deeds:deed", "over": {"range": 11}, "timeout": "2s", "on_error": "skip"},
    "retried": {"call": "deeds:dies_once", "over": {"range": 3}, "retry": {"limit": 2, "delay": 0}},
    "there": {"call": "deeds:where", "over": [1], "env": {"COLOUR": "red"}, "workdir": "inside", "threads": 3},
    "each_its_own": {"call": "deeds:where", "over": {"range": 3}, "max_calls_per_worker": 1},
    "greedy": {"call": "deeds:grow", "over": {"range": 4}, "memory": "200MB", "on_error": "skip"},
    "files": {"call": "deeds:write", "over": {"range": 2}, "outs": ["kept/${index}.txt"], "with": {"out": "${out}"}},
    "set_up": {"call": "deeds:state", "over": [1], "setup": "deeds:set_up"},
    "shell": {"run": "echo ${item}", "over": ["a", "b"]},
    "large": {"call": "deeds:large", "over": [1, 2]},
    "read": {"call": "builtins:len", "over": "${stages.large}"},
}


@pytest.fixture(scope="module", params=BACKENDS)
def ran(request, make_project):
    project = make_project()
    (project.folder / "inside").mkdir()
    project.write(STAGES, defaults={"backend": request.param})
    done = project.prun("pipeline.yaml", "--json", "--show", "all", within_s=140)
    return project, request.param, done


def value(ran, stage):
    _, _, done = ran
    return json.loads(done.stdout)["stages"][stage]["value"]


def test_values_come_back_in_their_order(ran):
    assert value(ran, "doubled") == [2 * n for n in range(12)]
    assert value(ran, "streamed") == [2 * n + 1 for n in range(12)]
    assert value(ran, "on_a_pool") == value(ran, "doubled")
    assert value(ran, "sum") == sum(2 * n + 1 for n in range(12))
    assert sorted(value(ran, "unordered")) == list(range(6))


def test_every_shape_of_arguments_finds_its_method(ran):
    assert value(ran, "rows") == value(ran, "single") == [3, 7]
    assert value(ran, "columns") == [4, 6]
    assert value(ran, "shell") == ["a", "b"]
    assert value(ran, "read") == [1 << 20, 1 << 20]


def test_only_the_bad_calls_fail_each_with_its_cause(ran):
    *_, done = ran
    assert done.returncode == 3
    assert value(ran, "bad") == [0, 2, 4, 6, 8, 10]
    for told in (
        "call 1 (1): ValueError: no one",
        "signal 9, SIGKILL",
        "exit code 7",
        "Timeout: still running after 2 s",
        "signal 11, SIGSEGV",
    ):
        assert told in done.stderr


def test_what_calls_print_is_theirs(ran):
    assert "doubled[3]: doubling 3" in ran[2].stderr
    assert "bad[9]: last words" in ran[2].stderr


def test_a_call_whose_worker_died_is_tried_again(ran):
    assert value(ran, "retried") == [0, 1, 2]


def test_a_stages_surroundings_go_along(ran):
    project, _, _ = ran
    folder, colour, threads, _ = value(ran, "there")[0]
    assert (folder, colour, threads) == (os.path.realpath(project.folder / "inside"), "red", "3")
    assert value(ran, "set_up") == [["ready"]]
    assert len({pid for *_, pid in value(ran, "each_its_own")}) == 3


def test_memory_is_limited(ran):
    assert value(ran, "greedy") == [0, 1, 3]
    assert "OutOfMemory" in ran[2].stderr


def test_files_are_where_they_were_promised(ran):
    project, _, _ = ran
    assert [(project.folder / f"kept/{n}.txt").read_text() for n in range(2)] == ["0", "1"]


def test_nothing_is_left(ran):
    project, _, _ = ran
    until = time.monotonic() + 5
    while project.processes() and time.monotonic() < until:
        time.sleep(0.05)
    assert project.processes() == []


def test_a_failure_is_replayed_here(ran):
    project, _, _ = ran
    run = json.loads(project.prun("runs", "--json").stdout)[0]["run"]
    again = project.prun("replay", run, "bad[1]")
    assert "no one" in again.stdout + again.stderr
