"""`prun run` as people and scripts meet it: exit codes, what goes to which stream, signals, `--json`."""

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
from types import SimpleNamespace

import pytest

from pipeline_runner.cli.go import Ending
from pipeline_runner.cli.terminal import Terminal
from pipeline_runner.worker.limits import state

pytestmark = pytest.mark.timeout(60)

ROOT = str(Path(__file__).parents[2])

DEEDS = """
    import os, signal, sys
    print("imported", flush=True)

    def double(x): return x * 2
    def total(values): return sum(values)
    def greet(name, times=1): return name * times
    def boom(x): raise ValueError(f"no {x}")
    def boom_at(x, at):
        if x == at: raise ValueError(f"no {x}")
        return x
    def die(x): os.kill(os.getpid(), 9)
    def loud(x):
        print("said", x, flush=True)
        os.write(1, b"raw\\n")
        os.system("echo child")
        return x
    def surrogate(): return "\\udcff"
    def strange(): return {1: {2, 3}}
    def nan(): return float("nan")
    def note_and_hang(x, path):
        with open(path, "w") as file: file.write(str(os.getpid()))
        signal.pause()
"""


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "deeds.py").write_text(textwrap.dedent(DEEDS))
    return folder


@pytest.fixture
def prun(project):
    """Run `prun` beside a pipeline of these stages; give the finished process."""

    def prun(stages, *words, cwd=project, **top):
        (project / "pipeline.yaml").write_text(json.dumps({"version": 1, "name": "p", **top, "stages": stages}))
        path = os.path.relpath(project / "pipeline.yaml", cwd)
        command = [sys.executable, "-m", "pipeline_runner", path, "-j", "2", *words]
        return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=_environment(), timeout=50)

    return prun


def _environment():
    return {**os.environ, "PYTHONPATH": ROOT, "PYTHONIOENCODING": "utf-8"}


DOUBLE = {
    "a": {"call": "deeds:double", "over": [1, 2]},
    "sum": {"call": "deeds:total", "with": {"values": "${stages.a}"}},
}


def test_results_go_to_stdout_and_progress_to_stderr(prun):
    done = prun(DOUBLE)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "sum: 6\n"
    assert re.search(r"^a +done +2 calls", done.stderr, re.MULTILINE)
    assert re.search(r"^p: done, 3 calls, ", done.stderr, re.MULTILINE)


def test_quiet_says_nothing_but_results(prun):
    done = prun(DOUBLE, "-q")
    assert (done.stdout, done.stderr) == ("sum: 6\n", "")


def test_show_adds_stages(prun):
    assert prun(DOUBLE, "--show", "a").stdout == "a: [2, 4]\nsum: 6\n"
    assert prun(DOUBLE, "--show", "all").stdout == "a: [2, 4]\nsum: 6\n"


def test_showing_a_stage_that_there_is_not_is_a_usage_error(prun):
    done = prun(DOUBLE, "--show", "smu")
    assert done.returncode == 2
    assert 'did you mean "sum"?' in done.stderr


def test_json_is_one_object_of_the_promised_shape(prun):
    done = prun(DOUBLE, "--json")
    told = json.loads(done.stdout)
    assert list(told) == ["run", "status", "seconds", "stages", "failures"]
    assert told["status"] == "done"
    assert told["failures"] == []
    a, total = told["stages"]["a"], told["stages"]["sum"]
    assert list(a) == ["status", "method", "calls", "failed", "retried", "seconds"]
    assert list(total) == [*a, "value"]
    assert (a["status"], a["calls"], a["failed"], a["retried"], total["value"]) == ("done", 2, 0, 0, 6)
    assert isinstance(a["seconds"], float)
    assert "Pool" in a["method"]


def test_json_shows_the_stages_asked_for(prun):
    told = json.loads(prun(DOUBLE, "--json", "--show", "a").stdout)
    assert told["stages"]["a"]["value"] == [2, 4]


def test_json_tells_failures(prun):
    stages = {"bad": {"call": "deeds:boom_at", "over": [1, 2], "with": {"at": 2}, "retry": 1, "on_error": "skip"}}
    done = prun(stages, "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 3
    assert told["status"] == "partial"
    assert told["failures"] == [{"stage": "bad", "item": 1, "type": "ValueError", "message": "no 2", "tries": 2}]
    assert {key: told["stages"]["bad"][key] for key in ("status", "calls", "failed", "retried", "value")} == {
        "status": "done",
        "calls": 2,
        "failed": 1,
        "retried": 1,
        "value": [1],
    }


@pytest.mark.parametrize(("call", "value"), [("surrogate", "\udcff"), ("strange", "{1: {2, 3}}"), ("nan", "nan")])
def test_json_of_values_that_json_or_the_terminal_cannot_hold(prun, call, value):
    done = prun({"s": {"call": f"deeds:{call}"}}, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["stages"]["s"]["value"] == value


def test_text_that_the_terminal_cannot_hold_is_shown_all_the_same(prun):
    done = prun({"s": {"call": "deeds:surrogate"}})
    assert done.returncode == 0, done.stderr
    assert done.stdout == 's: "\\udcff"\n'


def test_a_failed_stage_is_exit_1_with_stage_call_argument_and_place(prun):
    done = prun({"bad": {"call": "deeds:boom", "over": [7]}})
    assert (done.returncode, done.stdout) == (1, "")
    assert 'stage "bad": ValueError at ' in done.stderr
    assert "call 0 given 7: no 7" in done.stderr
    assert "raise ValueError" in done.stderr
    assert "pipeline_runner/" not in done.stderr


def test_a_killed_worker_is_told_with_its_signal(prun):
    done = prun({"bad": {"call": "deeds:die", "over": [7]}}, "-q")
    assert done.returncode == 1
    assert re.search(r"worker \d+ died \(signal 9, SIGKILL, often: out of memory\)", done.stderr)


@pytest.mark.parametrize(
    "words",
    [
        ["-p", "nonsense"],
        ["-p", "unknown=1"],
        ["--params", "no-such.yaml"],
        ["--no-such-option"],
        ["-j", "0"],
        ["--profile", "no"],
    ],
)
def test_wrong_use_is_exit_2_without_a_traceback(prun, words):
    done = prun(DOUBLE, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


def test_a_broken_file_is_exit_2_with_its_place(prun):
    done = prun({"a": {"cal": "deeds:double"}})
    assert (done.returncode, done.stdout) == (2, "")
    assert "pipeline.yaml:1:" in done.stderr


def test_a_file_that_is_not_there_is_exit_2():
    done = subprocess.run(
        [sys.executable, "-m", "pipeline_runner", "no-such.yaml"],
        capture_output=True,
        text=True,
        env=_environment(),
        timeout=50,
    )
    assert done.returncode == 2
    assert "no-such.yaml" in done.stderr
    assert "Traceback" not in done.stderr


def test_parameters_from_the_command_line_and_from_a_file(prun, project):
    stages = {"s": {"call": "deeds:greet", "with": {"name": "${params.name}", "times": "${params.times}"}}}
    params = {"name": "a", "times": 1}
    (project / "values.yaml").write_text("{name: b, times: 3}")
    values = str(project / "values.yaml")
    assert prun(stages, params=params).stdout == 's: "a"\n'
    assert prun(stages, "-p", "times=2", params=params).stdout == 's: "aa"\n'
    assert prun(stages, "--params", values, params=params).stdout == 's: "bbb"\n'
    assert prun(stages, "--params", values, "-p", "name=c", params=params).stdout == 's: "ccc"\n'


def test_keep_going_lets_everything_independent_end(prun):
    stages = {
        "bad": {"call": "deeds:boom_at", "over": [1, 2, 3], "with": {"at": 1}},
        "slow": {"call": "deeds:double", "over": [1, 2, 3]},
        **{f"after{n}": {"call": "deeds:total", "with": {"values": "${stages.slow}"}} for n in range(3)},
    }
    done = prun(stages, "-k", "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 1
    assert {name: stage["status"] for name, stage in told["stages"].items()} == {
        "bad": "failed",
        "slow": "done",
        "after0": "done",
        "after1": "done",
        "after2": "done",
    }


@pytest.mark.parametrize("backend", ["multiprocessing", "process", "parallel", "serial", "threads"])
def test_what_functions_print_never_reaches_stdout(prun, backend):
    # One call: two threads that print at once share a stderr, and may tear each other's lines there.
    done = prun({"s": {"call": "deeds:loud", "over": [1], "backend": backend}}, "--json")
    assert json.loads(done.stdout)["stages"]["s"]["value"] == [1]
    assert "said 1" in done.stderr


def test_from_another_folder(prun, tmp_path):
    elsewhere = tmp_path / "else" / "where"
    elsewhere.mkdir(parents=True)
    assert prun(DOUBLE, cwd=elsewhere).stdout == "sum: 6\n"


def test_run_is_a_word_that_may_be_said(project, prun):
    prun(DOUBLE)
    done = subprocess.run(
        [sys.executable, "-m", "pipeline_runner", "run", "pipeline.yaml"],
        capture_output=True,
        text=True,
        cwd=project,
        env=_environment(),
        timeout=50,
    )
    assert done.stdout == "sum: 6\n"


# Signals


class Hanging:
    """A run in a session of its own, whose calls hang."""

    def __init__(self, project, method, beside=None):
        self.note = project / "note"
        os.mkfifo(self.note)
        stages = {
            "s": {"call": "deeds:note_and_hang", "over": [1], "with": {"path": str(self.note)}, "method": method},
            "after": {"call": "deeds:double", "over": "${stages.s}"},
        }
        if beside:
            os.mkfifo(project / "beside")
            own = {"with": {"path": str(project / "beside")}, "method": beside, "on_error": "finish"}
            stages["after"] = stages["s"] | own
        (project / "pipeline.yaml").write_text(json.dumps({"version": 1, "stages": stages}))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pipeline_runner", "pipeline.yaml", "-j", "2"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=project,
            env=_environment(),
            start_new_session=True,
        )
        self.at = monotonic()
        self.worker = int(self.note.read_text())
        if beside:
            self.other = int((project / "beside").read_text())

    def kill(self):
        """End what is still there, so that a test that fails leaves nothing behind either."""
        for pid in self.left():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.communicate()

    def signal(self, number, group=True):
        self.at = monotonic()
        (os.killpg if group else os.kill)(self.process.pid, number)

    def end(self):
        _, err = self.process.communicate(timeout=20)
        return self.process.returncode, monotonic() - self.at, err

    def leaves_nothing(self, within_s=2.0):
        """Whether its session is soon empty: when the last helper of a library has gone, nobody tells us."""
        deadline = monotonic() + within_s
        while self.left():
            if monotonic() > deadline:
                return False
        return True

    def left(self):
        """Processes of its session that are still there."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == self.process.pid and fields[0] != "Z":
                found.append(int(stat.parent.name))
        return found


def wait_for(pid, wanted):
    """Until the process does that: the letter of /proc, "" for gone, corpse and all."""
    while state(pid) != wanted:
        os.sched_yield()


@pytest.fixture
def hang(project):
    """Start a run that hangs; ended with the test."""
    begun = []

    def start(method, beside=None):
        begun.append(Hanging(project, method, beside))
        return begun[-1]

    yield start
    for hanging in begun:
        hanging.kill()


METHODS = [
    "multiprocessing.Pool.imap",
    "concurrent.futures.ProcessPoolExecutor.submit",
    "pathos.ParallelPool.uimap",
    "multiprocessing.Process",
]


@pytest.mark.parametrize("method", METHODS)
def test_ctrl_c_ends_everything_soon_and_is_exit_130(hang, method):
    hanging = hang(method)
    hanging.signal(signal.SIGINT)
    code, took_s, err = hanging.end()
    assert code == 130, err
    assert took_s < 2.5
    assert hanging.leaves_nothing()
    assert "interrupted" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_other_signals_end_it_in_the_same_way(hang, number, code):
    hanging = hang(METHODS[0])
    hanging.signal(number, group=False)
    assert hanging.end()[0] == code
    assert hanging.leaves_nothing()


def test_a_second_ctrl_c_is_immediate(hang):
    hanging = hang(METHODS[0])
    hanging.signal(signal.SIGINT)
    hanging.signal(signal.SIGINT)
    code, took_s, _ = hanging.end()
    assert code == 130
    assert took_s < 2.5
    assert hanging.leaves_nothing()


def test_workers_end_when_the_runner_is_killed(hang):
    hanging = hang(METHODS[0])
    hanging.signal(signal.SIGKILL, group=False)
    hanging.end()
    assert hanging.leaves_nothing()


def test_a_stopped_worker_that_outlives_the_others_does_not_end_the_run(hang):
    """The kernel sends SIGHUP to a group whose last link to its session ends while a member is stopped."""
    hanging = hang("pathos.ParallelPool.uimap", beside="multiprocessing.Pool.imap")
    os.kill(hanging.worker, signal.SIGSTOP)
    wait_for(hanging.worker, "T")
    os.kill(hanging.other, signal.SIGKILL)
    wait_for(hanging.other, "")
    os.kill(hanging.worker, signal.SIGKILL)

    code, _, err = hanging.end()
    assert code == 1, err
    assert err.count("died (signal 9") == 4  # each of both as it happens, and at the end


def test_a_terminal_that_closes_while_the_run_ends_leaves_it_its_time():
    """Python hears SIGHUP before any other that waits, so no process can be sent both in this order."""
    told = []
    ending = Ending(Terminal())
    ending.of(SimpleNamespace(cancel=told.append))
    ending._hear(signal.SIGINT, None)
    ending._hear(signal.SIGHUP, None)
    assert told == [signal.SIGINT]


def start_with(project, stages, *words, before="", **how):
    """A shell line that runs `prun` beside these stages, and what came of it."""
    (project / "pipeline.yaml").write_text(json.dumps({"version": 1, "name": "p", "stages": stages}))
    line = before.replace("PRUN", f"{sys.executable} -m pipeline_runner pipeline.yaml {' '.join(words)}")
    environ = os.environ | {"PYTHONPATH": ROOT} | how.pop("environ", {})
    return subprocess.run(
        ["bash", "-c", line], cwd=project, env=environ, capture_output=True, text=True, timeout=50, check=False, **how
    )


LOUD = {
    "a": {"call": "deeds:loud", "over": {"range": 30}},
    "t": {"call": "deeds:total", "with": {"values": "${stages.a}"}},
}


def test_a_watcher_who_leaves_does_not_end_the_run(project):
    ran = start_with(project, LOUD, "--json", before="PRUN 2> >(head -1 >/dev/null) > out.json; echo $?")
    assert ran.stdout == "0\n"
    assert json.loads((project / "out.json").read_text())["stages"]["t"]["value"] == sum(range(30))


def test_a_full_disk_under_stderr_does_not_end_the_run(project):
    ran = start_with(project, LOUD, "--json", before="PRUN 2>/dev/full")
    assert ran.returncode == 0
    assert json.loads(ran.stdout)["stages"]["t"]["value"] == sum(range(30))


def test_a_full_disk_under_stdout_is_named_and_the_run_is_kept(project):
    ran = start_with(project, LOUD, "--json", "-q", before="PRUN >/dev/full")
    assert ran.returncode == 1
    assert "stdout: what was asked for cannot be written: No space left on device" in ran.stderr
    assert "bug" not in ran.stderr
    again = start_with(project, LOUD, "--json", "--resume", before="PRUN")
    assert {stage["status"] for stage in json.loads(again.stdout)["stages"].values()} == {"reused"}


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_run_goes_through_with_closed_streams(project, closed):
    ran = start_with(project, LOUD, "--json", before=f"PRUN {closed}")
    assert ran.returncode == 0, ran.stderr
    again = start_with(project, LOUD, "--json", "--resume", before="PRUN")
    told = json.loads(again.stdout)["stages"]
    assert {stage["status"] for stage in told.values()} == {"reused"}
    assert told["t"]["value"] == sum(range(30))


@pytest.mark.parametrize("library", ["multiprocessing.Pool.imap", "multiprocess.Pool.imap"])
def test_a_temporary_folder_may_have_a_longer_name_than_a_socket(project, tmp_path, library):
    long = tmp_path / ("t" * 150)
    long.mkdir()
    stages = {"a": {"call": "deeds:double", "over": {"range": 4}, "method": library}}
    ran = start_with(project, stages, "--json", before="PRUN", environ={"TMPDIR": str(long)})
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["stages"]["a"]["value"] == [0, 2, 4, 6]
    assert list(long.iterdir()) == []


def test_a_run_whose_key_cannot_be_kept_says_that_it_cannot_be_resumed(project):
    ran = start_with(project, LOUD, "--json", before="PRUN", environ={"XDG_CONFIG_HOME": "/dev/null"})
    assert ran.returncode == 0, ran.stderr
    assert "warning: this run cannot be resumed: /dev/null/prun cannot be written" in ran.stderr


def test_a_pool_that_cannot_be_opened_is_told_in_one_line(project):
    spoil = (
        "import multiprocessing.forkserver as f\ndef no(): raise OSError('no server today')\nf.ensure_running = no\n"
    )
    (project / "sitecustomize.py").write_text(spoil)
    environ = {"PYTHONPATH": f"{project}:{ROOT}"}
    stages = {"a": {"call": "deeds:double", "over": {"range": 4}, "method": "multiprocessing.Pool.imap"}}
    ran = start_with(project, stages, before="PRUN", environ=environ)
    assert ran.returncode == 1
    assert "outside its calls: no server today" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_module_that_does_not_parse_is_shown_without_the_import_system(project):
    (project / "deeds.py").write_text("def (:\n")
    ran = start_with(project, {"a": {"call": "deeds:double", "over": [1]}}, before="PRUN")
    assert ran.returncode == 2
    assert "def (:" in ran.stderr
    assert "importlib" not in ran.stderr


@pytest.mark.parametrize("words", [["--resume"], ["pipeline.yaml", "--resume"]])
def test_a_project_that_was_moved_is_resumed_where_it_is_now(project, prun, words):
    assert prun(LOUD).returncode == 0
    moved = project.rename(project.parent / "moved")
    again = start_with(
        moved, LOUD, "--json", *words[1:], before=f"{sys.executable} -m pipeline_runner {' '.join(words)} --json"
    )
    assert again.returncode == 0, again.stderr
    assert {stage["status"] for stage in json.loads(again.stdout)["stages"].values()} == {"reused"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("pipeline.yaml --resume BOGUS", 'there is no run "BOGUS" to resume, and no stage of that name\n'),
        ("pipeline.yaml --resume tt", 'there is no run "tt" to resume, and no stage of that name; did you mean "t"?\n'),
        ("--resume BOGUS", 'there is neither a file nor a run "BOGUS" to resume\n'),
        ("pipeline.yaml --resume 19990101", 'there is no run "19990101" in '),
    ],
)  # fmt: skip
def test_a_run_to_resume_that_there_is_not_is_told_with_the_last_ones(project, prun, words, said):
    assert prun(LOUD).returncode == 0
    (run,) = json.loads(start_with(project, LOUD, before=f"{sys.executable} -m pipeline_runner runs --json").stdout)
    again = start_with(project, LOUD, before=f"{sys.executable} -m pipeline_runner {words}")
    assert again.returncode == 2
    assert again.stderr.startswith(said)
    assert f"\n  the last are {run['run']}\n  `prun runs` lists them all" in again.stderr


def test_the_runs_of_another_file_in_a_store_are_not_taken_for_ones_own(project, prun):
    assert prun(LOUD).returncode == 0
    (project / "pipeline.yaml").rename(project / "other.yaml")
    again = start_with(project, LOUD, before=f"{sys.executable} -m pipeline_runner other.yaml --resume")
    assert again.returncode == 2
    assert "no run of this pipeline is kept" in again.stderr


# Root may write where nobody may: it is told to forget that.
AS_A_USER = "" if os.getuid() else "setpriv --inh-caps=-all --bounding-set=-all "


def test_a_state_folder_that_may_not_be_entered_is_exit_4_for_every_command(project, prun):
    assert prun(LOUD).returncode == 0
    (project / ".prun").chmod(0)
    try:
        for words in ("runs", "show last", "clean --all", "pipeline.yaml --resume", "pipeline.yaml"):
            ran = start_with(project, LOUD, before=f"{AS_A_USER}{sys.executable} -m pipeline_runner {words}")
            assert (ran.returncode, "Permission denied" in ran.stderr) == (4, True), (words, ran.stderr)
    finally:
        (project / ".prun").chmod(0o700)


def test_a_run_goes_on_when_a_read_only_journal_is_writable_again(project, prun):
    assert prun(LOUD).returncode == 0
    journal = project / ".prun" / "journal.db"
    journal.chmod(0o400)
    line = f"{AS_A_USER}{sys.executable} -m pipeline_runner"
    assert start_with(project, LOUD, before=f"{line} pipeline.yaml").returncode == 4
    start_with(project, LOUD, before=f"{line} runs")
    journal.chmod(0o600)
    cured = start_with(project, LOUD, before=f"{line} pipeline.yaml --resume")
    assert cured.returncode == 0, cured.stderr


def test_a_second_runner_is_refused_before_anything_is_read_and_told_who_is_at_it(project, hang):
    hanging = hang(METHODS[0])
    (project / "pipeline.yaml").write_text("stages: [")  # even of this there is nothing to say now
    refused = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "pipeline_runner", "pipeline.yaml"],
        capture_output=True, text=True, cwd=project, env=_environment(), check=False,
    )  # fmt: skip
    hanging.signal(signal.SIGINT)
    hanging.end()
    assert refused.returncode == 4
    assert f"is being run already (pid {hanging.process.pid}, since 20" in refused.stderr
    assert not [
        line
        for line in refused.stderr.splitlines()
        if line.endswith((" networkx", " pipeline_runner.spec.build", " yaml"))
    ]


def test_a_missing_package_is_told_once_without_a_traceback(project, prun):
    (project / "needing.py").write_text("import not_there_at_all\n\ndef f(x): return x\n")
    ended = prun({"a": {"call": "needing:f", "over": [1, 2, 3]}})
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert "not_there_at_all" in ended.stderr
    assert "needing.py:1" in ended.stderr


def test_a_store_that_is_taken_away_in_mid_run_is_told(project, prun):
    (project / "taker.py").write_text("import shutil\n\ndef take(x):\n    shutil.rmtree('.prun')\n    return x\n")
    ended = prun({"a": {"call": "taker:take", "over": [1]}, "b": {"call": "deeds:double", "over": "${stages.a}"}})
    assert ended.returncode in (0, 4), ended.stderr
    assert "was taken away while the run went on" in ended.stderr or "journal.db" in ended.stderr


def test_a_single_call_that_fails_shows_what_it_was_given(project, prun):
    (project / "picky.py").write_text("def pick(n, of):\n    raise ValueError('no')\n")
    stages = {
        "all": {"call": "deeds:double", "over": [1, 2]},
        "one": {"call": "picky:pick", "with": {"n": 3, "of": "${stages.all}"}},
    }
    ended = prun(stages)
    assert ended.returncode == 1
    assert "n=3, of=${stages.all}" in ended.stderr
