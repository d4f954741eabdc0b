"""Real runs, and what the commands about them then tell: replay, logs, clean, and the last words of a run."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pipeline_runner import Pipeline, Stage, UsageError

pytestmark = pytest.mark.timeout(60)

ROOT = str(Path(__file__).parents[2])

DEEDS = """
    import os, signal, sys

    def double(x): return x * 2
    def odd_only(x):
        print("looking at", x)
        print("careful", file=sys.stderr)
        if x % 4 == 2:
            reason = f"no {x}"
            raise ValueError(reason)
        return x + 1
    def check(names): raise RuntimeError("failed:\\n" + "\\n".join(names))
    def total(values, top=0): return sum(values) + top
    def spell(x, index, greeting): return f"{greeting} {x} {index} {os.environ['TONE']} {os.path.basename(os.getcwd())}"
    def read(path):
        with open(path) as file: return file.read()
    def pair(a, b): return f"{a}{b}"
    def leave(x): sys.exit(f"left at {x}")
    def wait(x, path):
        with open(path, "w") as file: file.write(str(x))
        signal.pause()
    def numbers(): return {"one": 1, "two": 2}
    def first(pair): return pair[0]
    def open_door(key): os.environ["DOOR"] = key
    def door(x): return f"{x} {os.environ['DOOR']}"
"""


@pytest.fixture(autouse=True)
def _own_key(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("PRUN_STATE", raising=False)


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "deeds.py").write_text(textwrap.dedent(DEEDS))
    return folder


def environment():
    return {**os.environ, "PYTHONPATH": ROOT, "PYTHONIOENCODING": "utf-8", "NO_COLOR": "1"}


@pytest.fixture
def prun(project):
    """Run `prun WORDS…` in the project; give the finished process."""

    def prun(*words, stdin=""):
        command = [sys.executable, "-m", "pipeline_runner", *words]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            cwd=project,
            env=environment(),
            timeout=50,
            input=stdin,
            check=False,
        )

    return prun


@pytest.fixture
def write(project):
    """Write the pipeline."""

    def write(stages, **top):
        (project / "pipeline.yaml").write_text(json.dumps({"version": 1, "name": "p", **top, "stages": stages}))

    return write


@pytest.fixture
def ran(project, write, monkeypatch):
    """Run stages here, in this process unless they say otherwise; give the run's name."""

    def ran(stages, **top):
        write(stages, **{"defaults": {"backend": "serial"}, **top})
        return Pipeline.load(project / "pipeline.yaml").run(workers=2, keep=()).id

    return ran


CHAIN = {
    "a": {"call": "deeds:double", "over": {"range": 6}, "returns": "iterator"},
    "b": {"call": "deeds:odd_only", "over": "${stages.a}", "on_error": "skip", "retry": 1},
    "sum": {"call": "deeds:total", "with": {"values": "${stages.b}"}},
}


def test_the_last_words_of_a_run_replay_and_resume_it(prun, write):
    stages = {"b": {"call": "deeds:odd_only", "over": [2, 3, 6, 10], "on_error": "finish", "retry": 1}}
    write(stages)
    failed = prun("pipeline.yaml", "-j", "2")
    assert failed.returncode == 1
    *_, last = failed.stderr.splitlines()
    resume = re.fullmatch(r"go on with what it owes: prun (--resume \S+)", last)
    replay = re.search(r"^  see it again: prun (replay \S+) '(b\[0\])'$", failed.stderr, re.MULTILINE)
    assert failed.stderr.count("see it again") == 1
    assert re.search(r'^stage "b": ValueError \(3 calls\) at .*deeds.py:\d+$', failed.stderr, re.MULTILINE)
    assert "  call 0 given 2 after 2 tries: no 2\n  call 2 given 6 after 2 tries: no 6\n" in failed.stderr

    again = prun(*replay[1].split(), replay[2])
    assert (again.returncode, again.stdout) == (1, "looking at 2\n")
    assert again.stderr.splitlines()[-1] == "ValueError: no 2"
    assert "pipeline_runner" not in again.stderr
    assert prun(*resume[1].split()).returncode == 1


@pytest.mark.parametrize(
    ("asked", "left"),
    [
        (["b"], {"a": 6, "b": 6}),
        (["--until", "b", "--sample", "3"], {"a": 3, "b": 3}),
        (["--from", "b", "--no-cache"], {"a": 6, "b": 6, "sum": 1}),
    ],
    ids=["stages", "sample", "from"],
)
def test_a_run_of_a_part_owes_no_more_than_the_part(prun, write, asked, left):
    write(CHAIN | {"a": {**CHAIN["a"], "cache": True}, "other": {"call": "deeds:numbers"}})
    if "--from" in asked:
        assert prun("pipeline.yaml", "a").returncode == 0
    assert prun("pipeline.yaml", *asked).returncode == 3
    resumed = json.loads(prun("--resume", "--json").stdout)["stages"]
    assert {name: stage["calls"] for name, stage in resumed.items()} == left

    more = json.loads(prun("pipeline.yaml", "other", "--resume", "--json").stdout)["stages"]
    assert list(more) == ["other"]  # what is said now wins


def test_a_run_of_a_part_that_is_gone_says_so_when_it_is_resumed(prun, write):
    write({"a": CHAIN["a"], "b": CHAIN["b"]})
    prun("pipeline.yaml", "b")
    write({"a": CHAIN["a"], "c": CHAIN["b"]})
    refused = prun("--resume")
    assert refused.returncode == 2
    assert 'was asked for a part of the pipeline that is not there any more: there is no stage "b"' in refused.stderr
    assert "name what is to run now: prun FILE STAGE --resume 2" in refused.stderr


def test_a_run_is_resumed_by_the_beginning_of_its_name(prun, ran):
    run = ran({"a": CHAIN["a"]})
    assert json.loads(prun("--resume", run[:-3], "--json").stdout)["run"] == run
    assert json.loads(prun("--resume", run[:4], "--json").stdout)["run"] == run
    assert json.loads(prun("--resume", "last", "--json").stdout)["run"] == run
    assert json.loads(prun("--resume", "last", "pipeline.yaml", "--json").stdout)["run"] == run
    wrong = prun("--resume", "19991231")
    assert (wrong.returncode, wrong.stderr.partition(" in ")[0]) == (2, 'there is no run "19991231"')


def test_a_link_to_itself_is_named_when_it_is_to_be_resumed(prun, project):
    (project / "loop.yaml").symlink_to("loop.yaml")
    refused = prun("loop.yaml", "--resume")
    assert refused.returncode in (2, 4)
    assert "bug" not in refused.stderr


def test_a_call_that_was_never_made_is_not_replayed(prun, ran):
    run = ran(CHAIN | {"c": {"call": "deeds:double", "over": "${stages.b}"}})
    asked = prun("replay", run, "c[1]")
    assert asked.returncode == 2
    assert asked.stderr.splitlines() == [
        "cannot replay c[1]: it was never made: b[1], whose value it was to be given, failed",
        f"  see that one: prun replay {run} 'b[1]'",
    ]


def test_a_source_that_fails_when_it_is_made_again_is_named(prun, ran, project):
    chain = {"a": CHAIN["a"], "b": {"call": "deeds:double", "over": "${stages.a}", "on_error": "skip"}}
    run = ran(chain, defaults={})  # in one trip: the values of a are not kept
    deeds = (project / "deeds.py").read_text()
    (project / "deeds.py").write_text(
        deeds.replace("def double(x): return x * 2", "def double(x): raise OSError('gone')")
    )
    asked = prun("replay", run, "b[1]")
    assert asked.returncode == 2
    assert "cannot replay a[1]: its value was not kept, and made again it fails: OSError: gone" in asked.stderr


def test_a_parameter_that_was_damaged_in_the_journal_is_not_given_again(prun, write, project):
    write({"t": {"call": "deeds:total", "with": {"values": [1], "top": "${params.n}"}}}, params={"n": 1})
    assert json.loads(prun("pipeline.yaml", "-p", "n=300", "--json").stdout)["stages"]["t"]["value"] == 301
    with contextlib.closing(sqlite3.connect(project / ".prun/journal.db", isolation_level=None)) as journal:
        journal.execute("""UPDATE run SET body = replace(body, '"n": 300', '"n": 700')""")

    refused = prun("--resume")
    assert refused.returncode == 4
    assert "was given (-p, --params, --profile, a part of the pipeline) is damaged" in refused.stderr
    assert "begin anew: prun " in refused.stderr

    said = json.loads(prun("--resume", "-p", "n=300", "--json").stdout)["stages"]["t"]
    assert (said["value"], said["status"]) == (301, "reused")
    assert prun("--resume").returncode == 0  # it is sealed anew


def test_a_run_whose_items_have_moved_is_told_as_its_last_try_had_them(prun, ran, write, project):
    def stages(items):
        doubled = {"call": "deeds:double", "over": items}
        return {"d": doubled, "t": {"call": "deeds:total", "with": {"values": "${stages.d}"}}, "last": doubled}

    run = ran(stages([1, 2, 3]))
    for items in ([3, 4, 5], [5, 1], [1, 2, 3]):
        write(stages(items), defaults={"backend": "serial"})
        pipeline = Pipeline.load(project / "pipeline.yaml")
        pipeline.run(resume=run)
        assert pipeline.replay(run, "t") == 2 * sum(items)
        assert [pipeline.replay(run, "d", number) for number in range(len(items))] == [2 * item for item in items]
    write(stages([3, 1]), defaults={"backend": "serial"})
    Pipeline.load(project / "pipeline.yaml").run(resume=run)
    assert json.loads(prun("show", run, "--json").stdout)["stages"]["last"]["value"] == [6, 2]


def test_a_run_whose_function_was_put_back_is_told_as_its_last_try_had_it(prun, ran, project):
    run = ran({"d": {"call": "deeds:double", "over": [1, 2]}})
    for line in ("return x * 3", "return x * 2"):
        edited = re.sub(r"return x \* \d", line, (project / "deeds.py").read_text())
        (project / "deeds.py").write_text(edited)
        shutil.rmtree(project / "__pycache__", ignore_errors=True)
        assert prun("--resume", run).returncode == 0
    assert json.loads(prun("show", run, "--json").stdout)["stages"]["d"]["value"] == [2, 4]


def test_a_long_message_is_told_once_in_the_summary(prun, write):
    write({"check": {"call": "deeds:check", "over": [["one", "two"]]}})
    _, summary = prun("pipeline.yaml", "-q").stderr.split('stage "check": ')
    assert "  call 0 given ['one', 'two']: failed:\n    one\n    two\n" in summary
    assert "raise RuntimeError(" in summary
    assert summary.count("    one\n") == 1


def test_a_run_that_is_well_says_nothing_of_resuming(prun, write):
    write({"a": CHAIN["a"]})
    assert "go on with" not in prun("pipeline.yaml").stderr


def test_what_a_run_was_is_listed_and_shown(prun, write):
    write(CHAIN)
    done = prun("pipeline.yaml", "--json", "-j", "2")
    told = json.loads(done.stdout)
    assert json.loads(prun("show", "last", "--json").stdout) == told
    (line,) = json.loads(prun("runs", "--json").stdout)
    assert (line["run"], line["status"], line["failed"]) == (told["run"], "partial", 3)
    assert line["done"] == 6 + 3 + 1


def test_lines_are_kept_with_their_call_and_stream(prun, write):
    write(CHAIN)
    prun("pipeline.yaml", "-j", "2")
    assert prun("logs", "last", "b[2]").stdout == "b[2]: looking at 4\nb[2] stderr: careful\n"
    assert prun("logs", "last", "b[2]", "--stderr").stdout == "b[2] stderr: careful\n"
    assert prun("logs", "last", "b[1]").stdout.count("looking at 2") == 2
    assert len(prun("logs", "last").stdout.splitlines()) == 2 * (6 + 3)


def test_a_call_that_ended_well_is_replayed_with_the_value_that_its_source_gave(prun, ran):
    ran({"a": CHAIN["a"], "b": {**CHAIN["b"], "chunk": 1}, "sum": CHAIN["sum"]})
    again = prun("replay", "last", "b[2]")
    assert (again.returncode, again.stdout) == (0, "looking at 4\nb[2]: 5\n")


def test_a_value_that_was_not_kept_is_made_again(prun, write):
    write(
        {
            "a": {**CHAIN["a"], "method": "multiprocessing.Pool.imap"},
            "b": {**CHAIN["b"], "method": "multiprocessing.Pool.imap"},
        }
    )
    prun("pipeline.yaml", "-j", "2")
    again = prun("replay", "last", "b[2]")
    assert (again.returncode, again.stdout) == (0, "looking at 4\nb[2]: 5\n")
    assert again.stderr == "note: the value of a[2] was not kept, so that call is run again too\ncareful\n"


def test_constants_are_those_of_the_run(prun, ran):
    ran(
        {
            "a": {"call": "deeds:double", "over": [1, 2, 3]},
            "sum": {"call": "deeds:total", "with": {"values": "${stages.a}", "top": "${params.top}"}},
        },
        params={"top": 5},
    )
    assert prun("replay", "last", "sum").stdout == "sum: 17\n"


def test_a_parameter_of_the_run_is_that_of_its_replay(prun, write):
    write({"sum": {"call": "deeds:total", "with": {"values": [1], "top": "${params.top}"}}}, params={"top": 5})
    assert prun("pipeline.yaml", "-p", "top=7").stdout == "sum: 8\n"
    assert prun("replay", "last", "sum[0]").stdout == "sum[0]: 8\n"


def test_a_call_is_where_it_was_with_its_own_keywords_and_environment(prun, ran):
    with_ = {"index": "${index}", "greeting": "hi ${item}"}
    ran({"a": {"call": "deeds:spell", "over": ["x", "y"], "with": with_, "env": {"TONE": "low"}}})
    assert prun("replay", "last", "a[1]").stdout == 'a[1]: "hi y y 1 low project"\n'


def test_the_setup_of_the_stage_comes_first(prun, ran):
    stage = {"call": "deeds:door", "over": [1], "setup": "deeds:open_door", "setup_with": {"key": "gold"}}
    ran({"a": stage}, defaults={})
    assert prun("replay", "last", "a[0]").stdout == 'a[0]: "1 gold"\n'


def test_columns_rows_and_fanned_out_pairs_are_replayed(prun, ran):
    ran(
        {
            "zip": {"call": "deeds:pair", "over": {"a": {"range": 3}, "b": ["x", "y", "z"]}},
            "star": {"call": "deeds:pair", "over": [[1, 2], [3, 4]], "args": "star"},
            "map": {"call": "deeds:numbers"},
            "fan": {"call": "deeds:first", "over": "${stages.map}"},
        }
    )
    said = [prun("replay", "last", call).stdout for call in ("zip[2]", "star[1]", "fan[1]")]
    assert said == ['zip[2]: "2z"\n', 'star[1]: "34"\n', 'fan[1]: "two"\n']


def test_an_item_that_is_another_now_is_not_passed_off_as_the_one_that_was(prun, ran, project):
    (project / "one.txt").write_text("first")
    ran({"a": {"call": "deeds:read", "over": {"glob": "*.txt"}}})
    assert prun("replay", "last", "a[0]").stdout == 'a[0]: "first"\n'
    (project / "one.txt").write_text("second, and longer")
    again = prun("replay", "last", "a[0]")
    assert (again.returncode, again.stdout) == (2, "")
    assert "cannot replay a[0]: its source has changed since" in again.stderr


def test_what_a_failed_call_was_given_is_had_from_the_store_whatever_its_source_is_now(prun, write, project):
    (project / "in.txt").write_text("2\n")
    stage = {"call": "deeds:odd_only", "over": {"generate": "source:lines"}, "on_error": "skip"}
    (project / "source.py").write_text("def lines():\n with open('in.txt') as f: yield from map(int, f)")
    write({"a": stage})
    prun("pipeline.yaml")
    (project / "in.txt").unlink()
    assert prun("replay", "last", "a[0]").stderr.endswith("ValueError: no 2\n")


def test_the_code_is_that_of_now_and_it_is_said_when_it_has_changed(prun, ran, project):
    ran({"a": {"call": "deeds:odd_only", "over": [2], "on_error": "skip"}})
    text = (project / "deeds.py").read_text()
    (project / "deeds.py").write_text(text.replace("x % 4 == 2", "x % 4 == 3"))
    again = prun("replay", "last", "a[0]")
    assert (again.returncode, again.stdout) == (0, "looking at 2\na[0]: 3\n")
    assert 'note: stage "a" has changed since that run; it is run as it is now' in again.stderr


def test_a_stage_that_is_gone_from_the_file_is_told(prun, ran, write):
    ran({"a": CHAIN["a"], "b": CHAIN["b"]})
    write({"a": CHAIN["a"]})
    gone = prun("replay", "last", "b[0]")
    assert gone.returncode == 2
    assert 'has no stage "b"' in gone.stderr


def test_a_call_that_leaves_is_told_and_exit_1(prun, ran):
    ran({"a": {"call": "deeds:leave", "over": [7], "on_error": "skip"}})
    again = prun("replay", "last", "a[0]")
    assert (again.returncode, again.stderr.splitlines()[-1]) == (1, "SystemExit: left at 7")


def test_pdb_stops_in_the_users_frame(prun, ran):
    ran({"a": {"call": "deeds:odd_only", "over": [2], "on_error": "skip"}})
    again = prun("replay", "last", "a[0]", "--pdb", stdin="p reason\nq\n")
    assert again.returncode == 1
    assert "deeds.py" in again.stdout
    assert "'no 2'" in again.stdout


def test_python_replays_what_only_python_has(tmp_path):
    pipeline = Pipeline("p", [Stage("a", call=lambda x: 10 / x, over=[5, 0], on_error="skip")], folder=tmp_path)
    state = tmp_path / "state"
    run = pipeline.run(workers=1, state=state).id
    assert pipeline.replay(run, "a", 0, state=state) == 2
    with pytest.raises(ZeroDivisionError):
        pipeline.replay("last", "a", 1, state=state)
    with pytest.raises(UsageError, match="has no item 2"):
        pipeline.replay("last", "a", 2, state=state)
    with pytest.raises(UsageError, match="name its folder with state=FOLDER"):
        pipeline.replay("last", "a")


def test_a_run_that_is_killed_shows_as_at_work_and_then_as_interrupted(prun, write, project):
    door = project / "door"
    os.mkfifo(door)
    stages = {"a": CHAIN["a"], "w": {"call": "deeds:wait", "over": [1], "with": {"path": str(door)}, "needs": ["a"]}}
    write(stages)
    command = [sys.executable, "-m", "pipeline_runner", "pipeline.yaml", "-j", "2", "-q"]
    process = subprocess.Popen(command, cwd=project, env=environment(), start_new_session=True)
    try:
        with door.open() as opened:
            opened.read()  # a call is at work now
        (line,) = json.loads(prun("runs", "--json").stdout)
        assert (line["status"], line["done"], line["resume"]) == ("running", 6, None)
        left = prun("clean", "--all")
        assert f"left {line['run']}, which is at work" in left.stdout
        assert process.poll() is None
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    (line,) = json.loads(prun("runs", "--json").stdout)
    assert (line["status"], line["done"]) == ("interrupted", 6)
    assert line["resume"] == f"prun --resume {line['run']}"
    assert "dropped 1 run, kept 0; freed " in prun("clean", "--all").stdout
    assert prun("runs").stdout == ""


def test_words_for_a_retry_that_are_almost_an_exception_are_pointed_out(prun, write):
    def told(word):
        write({"b": {"call": "deeds:double", "over": [1], "retry": {"limit": 1, "on": [word]}}})
        found = prun("validate", "pipeline.yaml")
        assert found.returncode == 0
        return found.stdout + found.stderr

    for word, meant in {"ValeuError": "ValueError", "timout": "timeout", "Lost": "lost"}.items():
        assert f'stage "b" tries again on "{word}", which is no exception of Python; did you mean "{meant}"?' in told(
            word
        )
    for word in ("ValueError", "timeout", "Timeout", "httpx.ConnectError", "ConnectError", "HTTPError", "MyOwn"):
        assert "did you mean" not in told(word), word


def test_a_module_that_cannot_be_imported_is_told_without_the_import(prun, write, project):
    (project / "broken.py").write_text("def f(x)\n")
    write({"a": {"call": "broken:f", "over": [1]}})
    text = prun("pipeline.yaml").stderr
    assert "pipeline.yaml:1:" in text
    assert '"broken.py" is no Python' in text
    assert "importlib" not in text


def test_a_coroutine_that_fails_is_told_without_the_loop(prun, write, project):
    (project / "later.py").write_text("async def f(x):\n    raise ValueError(x)\n")
    write({"a": {"call": "later:f", "over": [1]}})
    text = prun("pipeline.yaml").stderr
    assert f'stage "a": ValueError at {project / "later.py"}:2\n' in text
    assert "asyncio" not in text + prun("replay", "last", "a[0]").stderr


def test_a_result_that_could_not_be_sent_fails_in_a_replay_too(prun, write, project):
    (project / "odd.py").write_text("async def later(): pass\ndef f(x): return [later()]\n")
    write({"a": {"call": "odd:f", "over": [1], "on_error": "finish"}})
    assert "cannot pickle 'coroutine' object" in prun("pipeline.yaml").stderr
    again = prun("replay", "last", "a[0]")
    assert again.returncode == 1
    assert "TypeError: cannot pickle 'coroutine' object" in again.stderr


def test_a_replay_says_what_is_not_watched_here(prun, write, project):
    (project / "end.py").write_text("import os, signal\ndef f(x): os.kill(os.getpid(), signal.SIGSEGV)\n")
    write({"a": {"call": "end:f", "over": [1]}})
    assert "SIGSEGV" in prun("pipeline.yaml").stderr
    again = prun("replay", "last", "a[0]")
    assert again.returncode == -signal.SIGSEGV
    assert "note: its worker died then; whatever it died of may end this process too" in again.stderr
    assert f'File "{project / "end.py"}", line 2 in f' in again.stderr


def test_what_no_encoding_can_say_breaks_no_command(prun, write, project):
    (project / "odd.py").write_text(
        "def f(x):\n    print('\\x1b[2J')\n    raise ValueError('\\ud800 \\x1b]0;t\\x07')\n"
    )
    write({"a": {"call": "odd:f", "over": [1]}})
    failed = prun("pipeline.yaml")
    assert failed.returncode == 1
    for told in (failed, prun("show", "last"), prun("logs", "last", "a[0]"), prun("runs")):
        assert "\x1b" not in told.stdout + told.stderr
        assert "bug in prun" not in told.stderr
    again = prun("replay", "last", "a[0]")
    assert (again.returncode, again.stderr.splitlines()[-1]) == (1, "ValueError: \\ud800 ")


def test_a_value_whose_repr_raises_does_not_end_the_command(prun, write, project):
    (project / "odd.py").write_text(
        "class R:\n    def __repr__(self): raise RuntimeError('no')\ndef f(x): return R()\n"
    )
    write({"a": {"call": "odd:f", "over": [1]}})
    done = prun("pipeline.yaml")
    assert (done.returncode, "cannot be shown: RuntimeError" in done.stdout) == (0, True)
    done = prun("pipeline.yaml", "--json")
    assert (done.returncode, "cannot be shown" in json.loads(done.stdout)["stages"]["a"]["value"]) == (0, True)


def test_a_result_that_cannot_be_read_back_is_told_once(prun, write, project):
    (project / "odd.py").write_text(
        "def boom(): raise RuntimeError('no')\n"
        "class B:\n    def __reduce__(self): return boom, ()\n"
        "def f(x): return B()\n"
    )
    write({"a": {"call": "odd:f", "over": [1]}})
    text = prun("pipeline.yaml", "-q").stderr
    assert text.count("in boom") == 1
    assert "During handling" not in text
    assert "pipeline_runner" not in text
