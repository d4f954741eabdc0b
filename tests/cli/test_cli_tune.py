"""`prun tune` as people and scripts meet it: the table, the best and the reason, `--json`, `--write`, what it refuses."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
from contextlib import suppress
from pathlib import Path
from time import monotonic

import pytest

from pipeline_runner import Pipeline
from pipeline_runner.record.history import History
from pipeline_runner.record.store import Store

pytestmark = pytest.mark.timeout(110)

ROOT = str(Path(__file__).parents[2])

DEEDS = """
    import os, signal, time

    def square(x): return x * x
    def total(values): return sum(values)
    def wait(x): time.sleep(0.05); return x
    def odd(x):
        if x % 2 == 0: raise ValueError(f"no {x}")
        return x
    def boom(x): raise ValueError(f"no {x}")
    def die(x): os.kill(os.getpid(), signal.SIGKILL)
    def note(x):
        with open("notes.txt", "a") as file: file.write(f"{x}\\n")
        return x
    def loud(x):
        print("said", x, flush=True)
        return x
"""

# Few methods fit, and they start fast; or a few more, of workers and of this process.
FEW = {"backend": "threads"}
BLOCKING = {"dispatch": "blocking"}


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "deeds.py").write_text(textwrap.dedent(DEEDS))
    return folder


def tune(project, *words, file="pipeline.yaml", **variables):
    command = [sys.executable, "-m", "pipeline_runner", "tune", file, *words, "-j", "2"]
    environment = {**os.environ, "PYTHONPATH": ROOT, "PYTHONIOENCODING": "utf-8", **variables}
    return subprocess.run(command, capture_output=True, text=True, cwd=project, env=environment, timeout=100)


def write(project, stages, file="pipeline.yaml", **top):
    (project / file).write_text(json.dumps({"version": 1, "name": "p", **top, "stages": stages}))


def told(done, stage):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["stages"][stage]


def methods(done, stage):
    return {way["method"] for way in told(done, stage)["methods"]}


def test_the_table_has_a_row_for_each_method_and_tells_the_best_and_why(project):
    write(project, {"a": {"call": "deeds:square", "over": {"range": 100}, **BLOCKING}})
    done = tune(project, "a", "-n", "8", "--rounds", "2")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "a: deeds:square, 8 of 100 items, 2 rounds, 2 workers"
    assert re.fullmatch(r"alone a call takes [\d.,]+ µs", lines[1])
    assert lines[3].split("  ")[0] == "method"
    assert lines[3].endswith("all calls  sample     CPU  memory  overhead a call")
    rows = {line.removeprefix("*").split()[0]: line for line in lines[4 : lines.index("", 4)]}
    assert {"multiprocessing.Pool.apply", "pathos.ProcessPool.pipe", "pathos.SerialPool.pipe"} <= rows.keys()
    best = next(line.removeprefix("best  ") for line in lines if line.startswith("best  "))
    assert [name for name, line in rows.items() if line.startswith("*")] == [best]
    assert "the work is too small for processes: serial is " in done.stdout
    assert "8 of 100 items, which alone take" in done.stderr
    assert "round 2 of 2" in done.stderr


def test_only_methods_that_the_stage_may_have_are_tried(project):
    write(
        project,
        {
            "blocking": {"call": "deeds:square", "over": [1, 2], **BLOCKING},
            "limited": {"call": "deeds:square", "over": [1, 2], "dispatch": "batch", "timeout": "20s"},
            "threads": {"call": "deeds:square", "over": [1, 2], "backend": "threads"},
        },
    )
    done = tune(project, "--json", "--rounds", "1")
    assert {name.rpartition(".")[2] for name in methods(done, "blocking")} == {"apply", "pipe", "map", "imap"}
    assert methods(done, "limited") == {"multiprocessing.Process"}
    assert methods(done, "threads") == {
        "concurrent.futures.ThreadPoolExecutor.map",
        "concurrent.futures.ThreadPoolExecutor.submit",
    }


def test_json_has_what_was_measured_as_numbers(project):
    write(project, {"a": {"call": "deeds:wait", "over": {"range": 10}, "backend": "threads"}})
    a = told(tune(project, "a", "--json", "-n", "4", "--rounds", "1"), "a")
    assert (a["function"], a["items"], a["of"], a["calls"], a["rounds"]) == ("deeds:wait", 4, 10, 10, 1)
    assert 0.05 <= a["bare"]["each"] < 5
    for way in a["methods"]:
        assert way["sample_seconds"] >= 0.1  # four calls, two at a time
        assert way["seconds"] > way["sample_seconds"]
        assert way["memory"] is None or way["memory"] > 5_000_000
        assert way["overhead"] >= 0
    assert a["best"]["method"] == a["best"]["keys"]["method"]
    assert a["written"] is None


def test_rows_of_a_star_stage_stay_rows(project):
    write(project, {"a": {"call": "math:pow", "over": [[2, 3], [4, 5]], "args": "star", "backend": "multiprocessing"}})
    done = tune(project, "a", "--json", "--rounds", "1")
    assert methods(done, "a") == {"multiprocessing.Pool.starmap", "multiprocessing.Pool.starmap_async"}
    assert not any("failed" in way for way in told(done, "a")["methods"])


def test_columns_of_a_zip_stay_side_by_side(project):
    over = {"x": [1, 2, 3], "y": [4, 5, 6]}
    (project / "more.py").write_text("def add(x, y):\n    assert y - x == 3\n    return x + y\n")
    write(project, {"a": {"call": "more:add", "over": over, **FEW}})
    assert not any("failed" in way for way in told(tune(project, "a", "--json", "--rounds", "1"), "a")["methods"])


def test_sources_are_made_once_of_a_sample_and_nothing_is_kept(project):
    write(
        project,
        {
            "read": {"call": "deeds:note", "over": {"range": 3}},
            "sum": {"call": "deeds:total", "with": {"values": "${stages.read}"}},
            "a": {"call": "deeds:square", "over": "${stages.read}", "with": {}, **FEW},
        },
    )
    a = told(tune(project, "a", "--json", "--rounds", "1"), "a")
    assert (a["items"], a["calls"], a["origin"]) == (3, 3, "of a sample of read")
    assert sorted((project / "notes.txt").read_text().split()) == ["0", "1", "2"]
    assert History(Store(project / ".prun")).names() == []


def test_sources_are_taken_from_the_last_run_where_it_has_them(project):
    write(
        project,
        {
            "read": {"call": "deeds:note", "over": {"range": 3}},
            "sum": {"call": "deeds:total", "with": {"values": "${stages.read}"}},
            "a": {"call": "deeds:square", "over": "${stages.read}", **FEW},
        },
    )
    command = [sys.executable, "-m", "pipeline_runner", "pipeline.yaml", "-j", "2", "--json"]
    environment = {**os.environ, "PYTHONPATH": ROOT}
    ran = subprocess.run(command, capture_output=True, text=True, cwd=project, env=environment, timeout=60)
    run = json.loads(ran.stdout)["run"]
    a = told(tune(project, "a", "--json", "--rounds", "1"), "a")
    assert (a["items"], a["origin"]) == (3, f"as in run {run}")
    assert len((project / "notes.txt").read_text().split()) == 3


def test_calls_that_fail_by_themselves_are_left_out_and_told(project):
    write(project, {"a": {"call": "deeds:odd", "over": {"range": 4}, **FEW}})
    done = tune(project, "a", "-n", "4", "--rounds", "1")
    assert done.returncode == 0, done.stderr
    assert "2 calls fail by themselves and are left out: ValueError: no 0" in done.stdout
    assert "these gave nothing" not in done.stdout


@pytest.mark.parametrize(
    ("function", "why"), [("boom", "ValueError: no 0"), ("die", "its process died (signal 9)")], ids=["raise", "die"]
)
def test_calls_that_all_fail_are_no_traceback(project, function, why):
    write(project, {"a": {"call": f"deeds:{function}", "over": {"range": 4}, **FEW}})
    done = tune(project, "a", "-q")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f'stage "a" cannot be tuned, since its calls fail by themselves: {why}\n'


def test_a_call_that_hangs_is_ended_by_its_timeout(project):
    (project / "more.py").write_text("import time\ndef hang(x): time.sleep(1000)\n")
    write(project, {"a": {"call": "more:hang", "over": {"range": 2}, "timeout": "0.2s", **BLOCKING}})
    done = tune(project, "a", "-q")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("stage", "why"),
    [
        ({"run": "echo ${item} >> out.txt"}, "runs a command"),
        ({"call": "deeds:note", "outs": ["notes-${index}.txt"]}, "writes files (`outs`)"),
    ],
    ids=["run", "outs"],
)
def test_what_does_more_than_compute_is_not_repeated_unasked(project, stage, why):
    write(project, {"a": {**stage, "over": [1]}})
    done = tune(project, "a", "-q")
    assert done.returncode == 2
    assert done.stderr == (
        f'stage "a" {why}: to tune it, its calls are made many times over\n  if that does no harm, say so with --yes\n'
    )
    assert {path.name for path in project.iterdir()} <= {"deeds.py", "pipeline.yaml", "__pycache__"}


def test_a_command_is_tuned_where_that_is_said(project):
    write(project, {"a": {"run": "echo ${item}", "over": [1, 2], **FEW}})
    assert told(tune(project, "a", "--yes", "--json", "--rounds", "1"), "a")["best"]["method"]


def test_without_a_name_every_stage_that_has_items_is_tuned(project):
    write(
        project,
        {
            "a": {"call": "deeds:square", "over": [1, 2], "backend": "threads"},
            "sum": {"call": "deeds:total", "with": {"values": "${stages.a}"}},
            "b": {"call": "deeds:loud", "over": [1, 2], "backend": "serial"},
            "c": {"run": "echo ${item}", "over": [1, 2]},
        },
    )
    done = tune(project, "--json", "--rounds", "1")
    assert list(json.loads(done.stdout)["stages"]) == ["a", "b"]
    assert "c: left out, since it runs a command; --yes tunes it too" in done.stderr
    assert "said" not in done.stdout + done.stderr


def test_a_stage_that_there_is_not_is_told_with_its_nearest(project):
    write(project, {"squares": {"call": "deeds:square", "over": [1]}})
    done = tune(project, "square")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith('there is no stage "square"; did you mean "squares"?')


def test_later_plans_tell_what_was_measured(project):
    write(
        project,
        {"a": {"call": "deeds:square", "over": {"range": 10}, "returns": "unordered", "backend": "multiprocessing"}},
    )
    assert " measured " not in Pipeline.load(project / "pipeline.yaml").plan(workers=2).explain()
    told(tune(project, "a", "--json", "--rounds", "1"), "a")
    choice = Pipeline.load(project / "pipeline.yaml").plan(workers=2).stages["a"].choice
    assert "measured (prun tune, 20" in choice.why
    assert not choice.backend.in_process


def test_told_to_end_it_ends_at_once_and_leaves_no_process(project):
    write(project, {"a": {"call": "deeds:wait", "over": {"range": 100}}})
    command = [sys.executable, "-m", "pipeline_runner", "tune", "pipeline.yaml", "a", "-j", "2"]
    environment = {**os.environ, "PYTHONPATH": ROOT, "MARK": str(project)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=project, env=environment) as started:
        for line in started.stderr:
            if line.startswith("round 1 of 3, 2"):
                break
        started.send_signal(signal.SIGTERM)
        assert started.wait(20) == 143
    deadline = monotonic() + 20
    while marked(project) and monotonic() < deadline:
        pass
    assert marked(project) == []


def marked(project):
    """Processes that have this project in their environment."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            if f"MARK={project}\0".encode() in Path(f"/proc/{pid}/environ").read_bytes():
                found.append(pid)
    return found


def test_write_pins_the_best_and_leaves_all_else_as_it_is(project):
    text = (
        "# my pipeline\nversion: 1\nname: p\nstages:\n  a:   # first\n    call: deeds:square  # fast\n"
        "    # items\n    over: {range: 5}\n    backend: serial\n"
    )
    (project / "pipeline.yaml").write_text(text)
    (project / "pipeline.yaml").chmod(0o640)
    done = tune(project, "a", "--write", "--json", "--rounds", "1")
    a = told(done, "a")
    now = (project / "pipeline.yaml").read_text()
    pinned = f"    method: {a['best']['method']}\n"
    assert now == text.replace("  # fast\n", f"  # fast\n{pinned}")
    assert a["written"] == {"file": "pipeline.yaml", "line": 7}
    assert (project / "pipeline.yaml").stat().st_mode & 0o777 == 0o640
    assert {path.name for path in project.iterdir()} <= {"deeds.py", "pipeline.yaml", ".prun", "__pycache__"}
    again = told(tune(project, "a", "--json", "--rounds", "1"), "a")
    assert again["now"] == a["best"]["method"]


def test_write_pins_a_stage_of_an_included_file_there(project):
    (project / "common.yaml").write_text("stages:\n  a: {call: deeds:square, over: [1, 2], backend: serial}\n")
    (project / "pipeline.yaml").write_text("version: 1\nname: p\ninclude: [common.yaml]\nstages: {}\n")
    a = told(tune(project, "a", "--write", "--json", "--rounds", "1"), "a")
    assert a["written"] == {"file": "common.yaml", "line": 2}
    assert (project / "common.yaml").read_text() == (
        f"stages:\n  a: {{call: deeds:square, method: {a['best']['method']}, over: [1, 2], backend: serial}}\n"
    )
    assert (project / "pipeline.yaml").read_text() == "version: 1\nname: p\ninclude: [common.yaml]\nstages: {}\n"


def test_write_pins_a_stage_of_another_pipeline_in_that_ones_file(project):
    inner = "version: 1\nname: inner\nstages:\n  a: {call: deeds:square, over: [1, 2], backend: serial}\n"
    (project / "inner.yaml").write_text(inner)
    (project / "pipeline.yaml").write_text("version: 1\nname: p\nstages:\n  part: {pipeline: inner.yaml}\n")
    a = told(tune(project, "part.a", "--write", "--json", "--rounds", "1"), "part.a")
    assert a["written"] == {"file": "inner.yaml", "line": 4}
    assert f"method: {a['best']['method']}" in (project / "inner.yaml").read_text()


def test_a_stage_has_its_own_method_before_that_of_the_defaults(project):
    text = (
        "version: 1\nname: p\ndefaults: {method: pathos.SerialPool.imap, retry: 1}\nstages:\n"
        "  a: {call: deeds:square, over: [1, 2], backend: serial}\n"
    )
    (project / "pipeline.yaml").write_text(text)
    a = told(tune(project, "a", "--write", "--json", "--rounds", "1"), "a")
    assert a["written"] == {"file": "pipeline.yaml", "line": 5}
    assert (project / "pipeline.yaml").read_text() == text.replace(
        "deeds:square,", f"deeds:square, method: {a['best']['method']},"
    )
