"""The benchmarks run: small sizes of a few workloads, without peers. Nothing here asks how fast anything is."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
RUN = str(BENCHMARKS / "run.py")

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def benches(monkeypatch) -> Iterator[None]:
    """The modules of the benchmarks, importable in this test alone."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(BENCHMARKS)):
            del sys.modules[name]


@pytest.fixture
def pretended(benches):
    """A workload with a limit, one of ours and a peer."""
    import work
    from workload import Workload

    made = Workload("X1", "pretended", full={"n": 1}, quick={"n": 1})
    made.limit("limit")(work.same)
    made.ours("prun")(work.same)
    made.peer("peer")(work.same)
    made.peer("other", "no-such-distribution")(work.same)
    made.target("× the limit", ("prun", "s"), ("limit", "s"), most=1.5)
    return made


def seconds(value: float) -> dict[str, object]:
    return {"figures": {"s": value}, "took": value}


def test_one_command_measures_workloads_and_writes_their_page(python, tmp_path):
    words = (RUN, "--quick", "--peers", "none", "--only", "W1-items,G8", "--kept", "kept", "--markdown", "page.md")
    ran = python(*words, timeout_s=280)
    page = (tmp_path / "page.md").read_text()
    assert ran.returncode == 0, ran.stderr
    assert "failed" not in ran.stdout, ran.stdout
    assert "| **prun, journal** |" in page
    assert "| G8-killed | prun --resume: ended tasks made again | ≤ 2 | " in page
    assert "| joblib |  |  |  |  | not asked for in this run |" in page

    again = python(*words)
    assert "round" not in again.stdout  # all of it is kept
    assert (tmp_path / "page.md").read_text() == page


def test_a_ratio_is_taken_within_a_round_and_before_the_median(pretended):
    from reckon import measured, row

    rounds = [
        {"limit": seconds(1.0), "prun": seconds(1.2)},
        {"limit": seconds(10.0), "prun": seconds(11.0)},  # the machine was slow for both
        {"limit": seconds(1.0), "prun": seconds(1.4)},
    ]
    assert measured(pretended.targets[0], rounds, {}) == pytest.approx(1.2)
    assert row(pretended, pretended.ways[1], rounds, {}).ratio == pytest.approx(1.2)


def test_who_is_absent_hangs_or_fails_is_told_in_its_row(pretended):
    from page import Kept, page

    found = {
        "limit": seconds(1.0),
        "prun": {"failed": "WrongResult: 2 is not 1", "took": 1.0},
        "peer": {"hung": "killed after 90 s", "took": 90.0},
        "other": {"absent": "no-such-distribution not installed", "took": 0.0},
        "": {"s": 1.0, "others": 0.1},
    }
    text = page([Kept(pretended, [found], {})], "command", quick=False)
    assert "| **prun** |  |  |  | failed: WrongResult: 2 is not 1 |" in text
    assert "| peer |  |  |  | hung: killed after 90 s |" in text
    assert "| other |  |  |  | absent: no-such-distribution not installed |" in text
    assert "| X1 | × the limit | ≤ 1.5 × |  | not measured |" in text
    assert "- X1, × the limit: not measured, not ≤ 1.5 ×." in text


def test_a_slow_peer_has_fewer_turns_and_we_have_all(pretended):
    from harness import Terms, _due

    kept = [{way.name: seconds(6.0) for way in pretended.ways}]
    due = [way.name for way in pretended.ways if _due(way, kept, Terms(quick=False, allowance_s=10))]
    assert due == ["limit", "prun"]


def test_whatever_a_sample_has_begun_is_killed_with_it(benches):
    from harness import branded, sweep

    sleep = "import time; time.sleep(60)"
    script = (
        f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', '{sleep}'], start_new_session=True); print()"
    )
    script = f"{script}; sys.stdout.flush(); {sleep}"
    process = subprocess.Popen(
        [sys.executable, "-c", script], env={"BENCH_BRAND": "a-test"}, stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    until = time.monotonic() + 30
    while len(list(branded("a-test"))) < 2 and time.monotonic() < until:
        pass
    sweep("a-test")
    process.communicate(timeout=30)
    assert not list(branded("a-test"))


def test_no_list_schedule_is_shorter_than_the_bound(benches):
    import dags

    for file in sorted((BENCHMARKS / "dags").glob("*.json")):
        dag = dags.load(file.stem)
        assert sum(seconds for seconds, _ in dag.values()) == pytest.approx(dags.TOTAL_S, rel=0.05)
        assert dags.bound_s(dag) <= dags.best_s(dag) <= 1.1 * dags.bound_s(dag)


def test_every_target_speaks_of_ways_that_there_are(benches):
    from workload import workloads

    for workload in workloads().values():
        names = {way.name for way in workload.ways}
        assert len(names) == len(workload.ways), workload.name
        for target in workload.targets:
            told = {target.of[0], *([target.over[0]] if target.over else [])}
            assert told <= names, (workload.name, target.words)
            assert (target.most is None) != (target.least is None)


def test_the_work_of_a_graph_is_the_same_for_every_tool(benches, tmp_path, monkeypatch):
    """Commands and functions are told the same seconds: as many digits as the graph has."""
    import dags

    dag = {"a": (0.25, []), "b": (0.5, ["a"])}
    assert "a 0.250000" in dags.makefile(dag, "task")
    assert "seconds = 0.500000" in dags.ninja(dag, "task")
    assert 'shell: "task b 0.500000"' in dags.snakefile(dag, "task")
    assert json.loads(dags.files("doit", dag)["dag.json"]) == {"a": [0.25, []], "b": [0.5, ["a"]]}
    assert dags.pipeline(dag)["b"] == {"call": "work:task", "with": ["b", 0.5], "needs": ["a"]}
