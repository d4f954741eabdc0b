"""The worker processes themselves: how they start, what they are set up with, how many there are, what they print."""

from __future__ import annotations

import os
import sys
from collections import Counter

import pytest

from pipeline_runner.events import ChunkEnded, ChunkStarted, Printed

pytestmark = pytest.mark.timeout(40)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("backend", ["multiprocessing", "futures", "pathos", "process"])
def test_every_start_method(run, method, backend):
    ran = run({"s": {"call": "deeds.py:double", "over": [1, 2, 3], "backend": backend, "start_method": method}})
    assert ran["s"] == [2, 4, 6]


def test_calls_run_in_other_processes(run):
    ran = run({"s": {"call": "deeds.py:pid", "over": {"range": 6}}})
    assert os.getpid() not in ran["s"]


@pytest.mark.parametrize("backend", ["serial", "threads"])
def test_calls_of_backends_without_processes_run_here(run, backend):
    assert set(run({"s": {"call": "deeds.py:pid", "over": {"range": 3}, "backend": backend}})["s"]) == {os.getpid()}


@pytest.mark.parametrize("backend", ["multiprocessing", "futures", "pathos", "parallel"])
def test_setup_runs_once_in_each_worker(run, tmp_path, backend):
    log = tmp_path / "log"
    stage = {
        "call": "deeds.py:was_set",
        "over": {"range": 30},
        "chunk": 1,
        "backend": backend,
        "args": "map",
        "setup": "deeds.py:setup_into",
        "setup_with": {"path": str(log), "word": "yes"},
    }
    ran = run({"s": stage})
    assert {word for _, word in ran["s"]} == {"yes"}
    setups = Counter(log.read_text().split())
    assert set(setups.values()) == {1}
    assert {str(pid) for pid, _ in ran["s"]} <= set(setups)


def test_setup_runs_once_in_a_worker_that_two_stages_share(run, tmp_path):
    log = tmp_path / "log"
    stage = {
        "call": "deeds.py:was_set",
        "backend": "multiprocessing",
        "returns": "list",
        "chunk": 1,
        "setup": "deeds.py:setup_into",
        "setup_with": {"path": str(log)},
    }
    run({"a": stage | {"over": {"range": 8}}, "b": stage | {"over": "${stages.a}"}})
    assert set(Counter(log.read_text().split()).values()) == {1}


def test_setup_runs_once_for_all_threads(run, tmp_path):
    log = tmp_path / "log"
    stage = {
        "call": "deeds.py:linger",
        "over": [0.01] * 8,
        "backend": "threads",
        "setup": "deeds.py:slow_setup",
        "setup_with": {"path": str(log)},
    }
    run({"s": stage}, workers=4)
    assert log.read_text().split() == [str(os.getpid())]


def test_env_of_pipeline_and_stage(run):
    stage = {"call": "deeds.py:environment", "over": ["ONE", "TWO"]}
    ran = run({"a": stage, "b": stage | {"env": {"TWO": "b"}}}, env={"ONE": "1", "TWO": "2"})
    assert ran["a"] == ["1", "2"]
    assert ran["b"] == ["1", "b"]
    assert "ONE" not in os.environ


@pytest.mark.parametrize("backend", ["serial", "threads"])
def test_env_in_the_runners_own_process_is_there_for_all_calls_and_gone_afterwards(run, backend):
    ran = run(
        {
            "s": {
                "call": "deeds.py:slow_environment",
                "over": ["ONE"] * 12,
                "backend": backend,
                "env": {"ONE": "1"},
                "chunk": 1,
            }
        },
        workers=4,
    )
    assert ran["s"] == ["1"] * 12
    assert "ONE" not in os.environ


@pytest.mark.parametrize("backend", ["multiprocessing", "futures", "multiprocess"])
def test_a_worker_is_recycled_after_so_many_calls(run, backend):
    stage = {"call": "deeds.py:pid", "over": {"range": 12}, "max_calls_per_worker": 2, "backend": backend}
    if backend == "futures":
        stage["start_method"] = "spawn"
    ran = run({"s": stage})
    assert max(Counter(ran["s"]).values()) <= 2
    assert len(ran["s"]) == 12
    assert ran.result.exit_code == 0


def test_what_calls_print_is_told_with_the_call_and_never_on_our_stdout(run, capfd):
    ran = run({"s": {"call": "deeds.py:print_it", "over": [5, 6], "chunk": 2}})
    out, _ = capfd.readouterr()
    assert out == ""
    said = {(e.stage, e.index, e.stream, e.line) for e in ran.of(Printed)}
    assert said == {
        ("s", 0, "stdout", "out 5"),
        ("s", 0, "stdout", "raw 5"),
        ("s", 0, "stderr", "err 5"),
        ("s", 1, "stdout", "out 6"),
        ("s", 1, "stdout", "raw 6"),
        ("s", 1, "stderr", "err 6"),
    }


def test_what_a_later_stage_of_a_chain_prints_is_told_of_it(run):
    ran = run(
        {
            "one": {"call": "deeds.py:same", "over": [5, 6], "returns": "iterator"},
            "two": {"call": "deeds.py:print_it", "over": "${stages.one}"},
        }
    )
    assert {(e.stage, e.index, e.line) for e in ran.of(Printed)} == {
        ("two", n - 5, f"{stream} {n}") for n in (5, 6) for stream in ("out", "err", "raw")
    }


def test_a_call_may_write_bytes_to_stdout(run):
    ran = run({"s": {"call": "deeds.py:write_bytes", "over": ["ä"]}})
    assert ran.failed() == []
    assert [(e.stream, e.line) for e in ran.of(Printed)] == [("stdout", "ä")]


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_stages_on_different_methods_never_have_more_calls_at_work_than_workers(run, tmp_path, workers):
    log = tmp_path / "count"
    stage = {"call": "deeds.py:busy", "over": {"range": 40}, "with": {"path": str(log)}, "chunk": 1}
    ran = run(
        {
            "a": stage | {"backend": "multiprocessing"},
            "b": stage | {"backend": "futures"},
            "c": stage | {"backend": "pathos"},
            "d": stage | {"backend": "process", "over": {"range": 6}},
        },
        workers=workers,
    )
    seen = [int(line) for line in (tmp_path / "count.seen").read_text().split()]
    assert max(seen) <= workers
    assert len(seen) == 126
    now = most = 0
    for event in ran.of(ChunkStarted, ChunkEnded):
        now += 1 if isinstance(event, ChunkStarted) else -1
        most = max(most, now)
    assert most <= workers


def test_no_process_is_left_when_a_run_has_ended(run, alive):
    ran = run(
        {
            "s": {"call": "deeds.py:pid", "over": {"range": 8}, "chunk": 1, "backend": "futures"},
            "t": {"call": "deeds.py:pid", "over": {"range": 8}, "backend": "pathos"},
        }
    )
    assert [pid for pid in {*ran["s"], *ran["t"]} if alive(pid)] == []


def test_relative_paths_are_those_of_the_pipelines_folder(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for backend in ("multiprocessing", "parallel", "serial", "threads"):
        assert run({"s": {"call": "deeds.py:where", "over": [0], "args": "map", "backend": backend}})["s"] == [
            os.path.dirname(__file__)
        ]
    assert os.getcwd() == str(tmp_path)
    assert sys.stdout.writable()
