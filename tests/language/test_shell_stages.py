"""Stages that run commands: what they are given, what becomes of what they write, and how they fail."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys

import pytest

from pipeline_runner import CallError, Pipeline, Problems, Stage

pytestmark = pytest.mark.timeout(60)
BACKENDS = ("multiprocessing", "futures", "process", "pathos", "ppft", "parallel", "threads", "serial")


@pytest.fixture
def run(tmp_path):
    """Run stages in a folder of their own."""

    def run(stages, *, workers=2, state=False, resume=False, **top):
        text = json.dumps({"version": 1, "stages": stages, **top})
        events = []
        result = Pipeline.from_text(text, folder=tmp_path).run(
            workers=workers, keep="all", state=state, resume=resume, on_event=events.append
        )
        result.lines = [(e.stage, e.index, e.stream, e.line) for e in events if type(e).__name__ == "Printed"]
        return result

    return run


def ended(pid):
    """Whether a process ends within moments, or has."""
    try:
        pidfd = os.pidfd_open(int(pid))
    except ProcessLookupError:
        return True
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    try:
        return bool(poll.poll(5000))
    finally:
        os.close(pidfd)


# What it is given.


@pytest.mark.parametrize(
    ("stage", "value"),
    [
        ({"run": "echo one"}, "one"),
        ({"run": "echo ${item}", "over": ["a b", "c"]}, ["a b", "c"]),
        ({"run": "echo ${item}", "over": ["a", "b"], "args": "single"}, ["a", "b"]),
        ({"run": "echo ${item[1]}-${item[0]}", "over": [[1, "x y"], [2, "z"]], "args": "star"}, ["x y-1", "z-2"]),
        ({"run": "echo ${item.n}-${index}", "over": [{"n": 5}, {"n": 6}]}, ["5-0", "6-1"]),
        ({"run": "echo ${item.n}", "over": [{"n": 5}, {"n": 6}], "args": "star"}, ["5", "6"]),
        ({"run": "echo ${item.a}${item.b}", "over": {"a": [1, 2], "b": ["x", "y"]}}, ["1x", "2y"]),
        ({"run": "echo ${item[0]}${item[1]}", "over": [[1, 2], ["x", "y"]], "args": "zip"}, ["1x", "2y"]),
        ({"run": "echo ${item.a}", "over": {"a": [1, 2]}, "args": "zip"}, ["1", "2"]),
        ({"run": "date +%Y >/dev/null; echo same", "over": {"range": 3}}, ["same"] * 3),
        ({"run": ["printf", "%s.", "${item}", "${index}"], "over": ["a b", "c"]}, ["a b.0.", "c.1."]),
        ({"run": ["printf", "%s", 5, True, 1.5]}, "5true1.5"),
        ({"run": True}, ""),
        ({"run": "echo ${params.who} ${params.n + 1} ${env.GREETING}", "env": {"GREETING": "it's"}}, "me too 4 it's"),
        ({"run": "echo $GREETING ${#GREETING}".replace("${#", "$${#"), "env": {"GREETING": "hi"}}, "hi 2"),
        ({"run": "cat; echo read"}, "read"),
    ],
)
@pytest.mark.parametrize("backend", [None, "serial"])
def test_a_command_is_given_its_values_in_every_argument_style(run, stage, value, backend):
    result = run({"s": stage | ({"backend": backend} if backend else {})}, params={"who": "me too", "n": 3})
    assert result["s"] == value


def test_a_command_reads_other_stages_and_python_reads_commands(run, tmp_path):
    (tmp_path / "words.py").write_text("def longest(texts):\n    return max(texts, key=len)\n")
    result = run(
        {
            "list": {"run": "printf '%s\\n' b 'a b c' aa", "stdout": "lines"},
            "upper": {"run": "echo ${item | upper}", "over": "${stages.list}"},
            "sorted": {"run": ["printf", "[%s]", "${stages.upper | sort}"]},
            "all": {"run": "printf '<%s>' ${stages.upper} \"${stages.upper}\" ${stages.sorted}"},
            "part": {"run": "echo ${stages.data.names[1]}"},
            "data": {"run": 'echo \'{"names": ["x", "y z"]}\'', "stdout": "json"},
            "longest": {"call": "words:longest", "with": {"texts": "${stages.upper}"}},
        }
    )
    assert result["upper"] == ["B", "A B C", "AA"]
    assert result["sorted"] == "[A B C][AA][B]"
    assert result["all"] == "<B><A B C><AA><B A B C AA><[A B C][AA][B]>"
    assert result["part"] == "y z"
    assert result["longest"] == "A B C"


def test_a_command_knows_its_run(run, tmp_path):
    result = run({"s": {"run": "cd ${run.dir} && pwd && echo ${run.id}", "stdout": "lines"}}, state=tmp_path / "state")
    assert result["s"] == [str(tmp_path / "state" / "runs" / result.id), result.id]


def test_commands_run_in_the_pipelines_folder_with_its_environment(run, tmp_path):
    result = run({"s": {"run": "pwd; echo $A $B", "stdout": "lines", "env": {"B": "2"}}}, env={"A": "1", "B": "1"})
    assert result["s"] == [str(tmp_path), "1 2"]


def test_names_of_files_that_are_not_text_go_through_two_commands(run, tmp_path):
    names = [b"caf\xe9.txt", b"it's.txt", b"two\nlines.txt", "日本.txt".encode()]
    for name in names:
        (tmp_path / os.fsdecode(name)).write_text("x")
    result = run(
        {
            "glob": {"run": "printf %s ${item}", "over": {"glob": "*.txt"}},
            "same": {"run": ["cat", "--", "${item}"], "over": "${stages.glob}"},
        }
    )
    assert sorted(map(os.fsencode, result["glob"])) == sorted(names)
    assert result["same"] == ["x"] * 4


def test_stages_of_the_api_run_commands_too(tmp_path):
    pipeline = Pipeline(
        "p",
        [
            Stage("text", run="echo ${item}", over=("it's", b"bytes")),
            Stage("words", run=["printf", "%s", tmp_path, 3, "${stages.text}"]),
            Stage("python", call=len, over="${stages.text}"),
        ],
    )
    result = pipeline.run(workers=2, keep="all", state=False)
    assert result["text"] == ["it's", "bytes"]
    assert result["words"] == f"{tmp_path}3it'sbytes"
    assert result["python"] == [4, 5]
    assert repr(Stage("s", run="true")) == "Stage('s', run='true')"


@pytest.mark.parametrize("keys", [{}, {"run": "true", "call": len}, {"run": ""}, {"call": len, "stdout": "text"}])
def test_a_stage_of_the_api_is_a_function_or_a_command(keys):
    with pytest.raises(Problems):
        Pipeline("p", [Stage("s", **keys)])


# What it writes.


@pytest.mark.parametrize(
    ("output", "stdout", "value"),
    [
        (r"a\nb\n\n", "text", "a\nb"),
        ("", "text", ""),
        (r"  a \n", "text", "  a "),
        (r"a\r\n", "text", "a\r"),
        (r"a\nb\n", "lines", ["a", "b"]),
        (r"a\n\nb", "lines", ["a", "", "b"]),
        (r"a\n\n", "lines", ["a", ""]),
        ("", "lines", []),
        (r"\n", "lines", [""]),
        (r"\377\n", "lines", ["\udcff"]),
        (r"[1, {\"a\": null}]\n", "json", [1, {"a": None}]),
        ("anything", "none", None),
    ],
)
def test_what_a_command_writes_is_its_value(run, output, stdout, value):
    assert run({"s": {"run": f'printf "{output}"', "stdout": stdout}})["s"] == value


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("{'a': 1}", "its output is no JSON: line 1, column 2: Expecting property name enclosed in double quotes; it begins with \"{'a': 1}\\n\""),
        ("1 2", "its output is no JSON: line 1, column 3: Extra data; it begins with '1 2\\n'"),
        ("", "its output is no JSON: there is none"),
    ],
)  # fmt: skip
def test_output_that_is_no_json_is_told_with_its_place_and_its_beginning(run, output, message):
    result = run({"s": {"run": ["echo", output], "stdout": "json", "retry": {"limit": 1, "on": ["CommandFailed"]}}})
    (failed,) = result.failures
    assert failed.failure.type == "BadOutput"
    assert failed.failure.message == message
    assert failed.tries == 2


def test_stderr_is_captured_line_by_line_and_stdout_is_not(run):
    result = run({"s": {"run": "echo value ${item}; echo said ${item} >&2; echo more >/dev/stderr", "over": [1, 2]}})
    assert result["s"] == ["value 1", "value 2"]
    assert sorted(result.lines) == [
        ("s", 0, "stderr", "more"),
        ("s", 0, "stderr", "said 1"),
        ("s", 1, "stderr", "more"),
        ("s", 1, "stderr", "said 2"),
    ]


def test_what_nobody_takes_as_a_value_is_captured(run):
    result = run(
        {"none": {"run": "echo out", "stdout": "none"}, "failed": {"run": "echo out; exit 1", "on_error": "finish"}}
    )
    assert sorted(result.lines) == [("failed", 0, "stdout", "out"), ("none", 0, "stdout", "out")]


@pytest.mark.parametrize("backend", ["multiprocessing", "threads"])
def test_a_hundred_megabytes_on_both_streams_do_not_stop_a_command(run, backend):
    megabytes = "head -c 100000000 /dev/zero | tr '\\0' x"
    result = run(
        {
            "s": {
                "run": f"({megabytes}) & ({megabytes} 2>&1 | tr x '\\n' | head -c 1000000 >&2); wait",
                "backend": backend,
            }
        }
    )
    assert len(result["s"]) == 100_000_000


def test_large_output_is_not_held_many_times(run):
    """The text, its bytes, and what is sent of it: no more."""
    text = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "from pipeline_runner.worker.shell import Invocation, run\n"
        "value = run(Invocation((b'/bin/sh', b'-ec', b'head -c 100000000 /dev/zero | tr \"\\\\\\\\0\" x')), 'text')\n"
        "print(len(value), *(line.split()[1] for line in open('/proc/self/status') if 'VmHWM' in line))"
    )
    said = subprocess.run([sys.executable, "-c", text, *sys.path], capture_output=True, text=True, check=True).stdout
    length, kilobytes = map(int, said.split())
    assert length == 100_000_000
    assert kilobytes < 250_000


# How it fails.


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_command_that_fails_tells_how_and_its_last_line_and_the_others_complete(run, backend):
    result = run(
        {
            "s": {
                "run": 'echo "about ${item}" >&2; case ${item} in b) exit 3;; c) kill -9 $$;; d) sh -c "kill -11 \\$\\$"; exit $?;; esac; echo ${item}',
                "over": ["a", "b", "c", "d", "e"],
                "on_error": "skip",
                "backend": backend,
            }
        }
    )
    told = {failed.index: f"{failed.failure.type}: {failed.failure.message}" for failed in result.failures}
    assert told[1] == "CommandFailed: exit code 3: about b"
    assert told[2] == "CommandFailed: killed by signal 9, SIGKILL: about c"
    assert told[3].startswith("CommandFailed: exit code 139 (killed by signal 11, SIGSEGV): ")
    assert result["s"] == ["a", "e"]
    if backend not in ("threads", "serial"):
        assert [failed.said for failed in result.failures if failed.index == 1] == [("about b",)]


def test_the_first_command_of_a_text_that_fails_ends_it(run, tmp_path):
    result = run({"s": {"run": "false\ntouch after\n"}})
    assert [failed.failure.message for failed in result.failures] == ["exit code 1"]
    assert not (tmp_path / "after").exists()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["no-such-command", "x"], 'there is no command "no-such-command" on the PATH'),
        (["./no-such-file"], 'there is no command "./no-such-file"'),
        (["./plain.txt"], '"./plain.txt" may not be run: Permission denied'),
        (["./odd"], '"./odd" is no program; a script\'s first line is one such as  #!/bin/sh'),
    ],
)
def test_a_command_that_cannot_be_started_says_why(run, tmp_path, command, message):
    (tmp_path / "plain.txt").write_text("x")
    (tmp_path / "odd").write_text("x")
    (tmp_path / "odd").chmod(0o755)
    # After another stage, which might have made it: a program that is nowhere is else told before anything runs.
    (failed,) = run({"before": {"run": "true"}, "s": {"run": command, "needs": ["before"]}}).failures
    assert (failed.failure.type, failed.failure.message) == ("CannotRun", message)


def test_a_value_that_no_command_can_be_given_fails_its_own_call_alone(run, tmp_path):
    (tmp_path / "gives.py").write_text("def values():\n    yield from ['a', 'b\\0c', {'d': 1}, 'e']\n")
    result = run(
        {
            "values": {"call": "gives:values"},
            "s": {"run": "echo ${item}", "over": "${stages.values}", "on_error": "skip"},
            "path": {"run": "echo ${item.d}", "over": "${stages.values}", "on_error": "skip"},
        }
    )
    assert result["s"] == ["a", "e"]
    assert result["path"] == ["1"]
    assert {f.failure.type for f in result.failures if f.stage == "s"} == {"CannotRun"}
    assert {f.failure.type for f in result.failures if f.stage == "path"} == {"NoValue"}
    assert sorted(f.index for f in result.failures if f.stage == "path") == [0, 1, 3]


def test_a_failed_command_is_tried_again_by_its_name(run, tmp_path):
    flaky = "[ -e tried-${item} ] || { touch tried-${item}; exit 7; }; echo ${item}"
    result = run({"s": {"run": flaky, "over": [1, 2, 3], "retry": {"limit": 2, "on": ["CommandFailed"]}}})
    assert result["s"] == ["1", "2", "3"]
    assert result.state.stages["s"].retried == 3


def test_a_misspelt_command_failed_is_cautioned(run):
    pipeline = Pipeline.from_text('stages: {s: {run: "true", retry: {on: [CommandFailled]}}}')
    from pipeline_runner.plan.check import cautions

    assert any('did you mean "CommandFailed"' in caution for caution in cautions(pipeline.plan()))


def test_python_gets_the_error_itself(tmp_path):
    pipeline = Pipeline("p", [Stage("s", run="echo so >&2; exit 4", returns="apply_result")])
    with pipeline.start(state=False) as live, pytest.raises(CallError) as caught:
        live["s"].get(30)
    from pipeline_runner.worker.shell import CommandFailed

    assert isinstance(caught.value.__cause__, CommandFailed)
    assert (caught.value.__cause__.code, caught.value.__cause__.last) == (4, "so")


# What it leaves.


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_a_command_leaves_in_the_background_ends_with_it(run, tmp_path, backend):
    result = run(
        {
            "s": {
                "run": "sleep 100 & echo $!; sleep 101 >/dev/null 2>&1 & echo $!",
                "stdout": "lines",
                "backend": backend,
            }
        }
    )
    assert all(map(ended, result["s"]))


@pytest.mark.parametrize("backend", ["multiprocessing", "futures", "process", "ppft"])
def test_what_leaves_a_commands_session_ends_with_it_too(run, backend):
    away = (
        "setsid sh -c 'echo $$; exec sleep 100' & sleep 0.2; (setsid sh -c 'setsid sleep 102 & echo $!' &); sleep 0.2"
    )
    result = run({"s": {"run": away, "stdout": "lines", "backend": backend}})
    assert len(result["s"]) == 2
    assert all(map(ended, result["s"]))


def test_a_timeout_ends_a_command_and_all_that_it_has_started(run, tmp_path):
    script = "sleep 100 & setsid sleep 101 & echo $! > away; echo $$ > own; exec sleep 102"
    result = run({"s": {"run": script, "timeout": "1s"}})
    (failed,) = result.failures
    assert failed.failure.type == "Timeout"
    assert result.state.seconds < 10
    assert all(ended((tmp_path / name).read_text()) for name in ("away", "own"))


def test_too_much_memory_ends_a_command(run):
    hungry = [sys.executable, "-c", "x = bytearray(400_000_000); import time; time.sleep(60)"]
    result = run({"s": {"run": hungry, "memory": "200MiB"}})
    assert [failed.failure.type for failed in result.failures] == ["OutOfMemory"]


@pytest.mark.parametrize("backend", ["multiprocessing", "futures", "threads", "serial"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_commands_end_with_their_runner(tmp_path, repository, backend, number):
    if number == signal.SIGKILL and backend in ("threads", "serial"):
        backend = "process"  # nobody can end what a runner has started itself when it is killed
    os.mkfifo(tmp_path / "begun")
    stage = {"run": "trap '' INT TERM; sleep 100 & echo $$ $! > begun; sleep 101", "backend": backend}
    (tmp_path / "p.yaml").write_text(json.dumps({"stages": {"s": stage}}))
    runner = subprocess.Popen(
        [sys.executable, "-m", "pipeline_runner", "p.yaml"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(repository)},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with open(tmp_path / "begun") as begun:
        pids = begun.read().split()
    runner.send_signal(number)
    runner.wait(20)
    assert len(pids) == 2
    assert all(map(ended, pids))


@pytest.mark.parametrize("backend", ["threads", "serial", "multiprocessing"])
def test_a_failure_ends_the_commands_that_run_beside_it(run, tmp_path, backend):
    os.mkfifo(tmp_path / "begun")
    result = run(
        {
            "long": {"run": "echo $$ > pid; echo > begun; sleep 100", "backend": backend},
            "fails": {"run": "read x < begun; exit 1", "backend": "multiprocessing"},
        }
    )
    assert [failed.stage for failed in result.failures] == ["fails"]
    assert ended((tmp_path / "pid").read_text())


def test_commands_meet_the_rest_of_the_language(run, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "words.py").write_text("def twice(text):\n    return text * 2\n")
    result = run(
        {
            "where": {"run": "pwd", "workdir": "sub"},
            "many": {"run": "echo hi", "over": {"range": 4}, "limits": ["api"]},
            "twice": {"call": "words:twice", "over": "${stages.many}"},
            "combined": {"run": "echo ${item.a}/${item.b}", "over": {"matrix": {"a": [1, 2], "b": ["x y"]}}},
            "batches": {"run": ["printf", "<%s>", "${item}"], "over": {"batches": {"range": 5}, "size": 2}},
            "not": {"run": "echo no", "if": "${params.no}"},
            "fails": {"run": "exit 1", "on_error": "finish"},
            "always": {"run": "echo ${stages.fails}", "needs": ["fails"], "if": "always"},
        },
        params={"no": False},
        limits={"api": 1},
        on_failure={"run": "echo ${run.status} > told"},
    )
    assert result["where"] == str(tmp_path / "sub")
    assert result["twice"] == ["hihi"] * 4
    assert result["combined"] == ["1/x y", "2/x y"]
    assert result["batches"] == ["<0><1>", "<2><3>", "<4>"]
    assert result["always"] == "null"
    assert result.state.stages["not"].status == "skipped"
    assert (tmp_path / "told").read_text() == "failed\n"


# Kept runs.


def test_a_command_runs_again_when_what_is_written_has_changed_and_not_otherwise(run, tmp_path):
    def ran(command, resume=True, **keys):
        (tmp_path / "ran").unlink(missing_ok=True)
        stages = {"s": {"run": command, "over": [1, 2], **keys}, "last": {"run": "exit 1", "needs": ["s"]}}
        run(stages, state=tmp_path / "state", resume=resume, params={"x": 1, "y": 1})
        return sorted((tmp_path / "ran").read_text().split()) if (tmp_path / "ran").exists() else []

    assert ran("echo ${item} >> ran", resume=False) == ["1", "2"]
    assert ran("echo ${item} >> ran") == []
    assert ran("echo ${item} >> ran", description="no more than words") == []
    assert ran("echo ${item}  >> ran") == ["1", "2"]
    assert ran("echo ${item}  >> ran", stdout="lines") == ["1", "2"]
    assert ran("echo ${item} >> ran; : ${params.x}") == ["1", "2"]
    assert ran("echo ${item} >> ran; : ${params.x}") == []
    assert ran("echo ${item} >> ran; : ${params.x}", env={"A": "b"}) == ["1", "2"]


def test_a_failed_command_is_replayed_as_it_ran(tmp_path, prun):
    stages = {"s": {"run": 'echo ran ${item} "${item}" >&2; exit 3', "over": ["it's", "b"], "on_error": "finish"}}
    (tmp_path / "p.yaml").write_text(json.dumps({"stages": stages}))
    first = prun("p.yaml", "--json")
    run = json.loads(first.stdout)
    assert sorted(f["message"] for f in run["failures"]) == ["exit code 3: ran b b", "exit code 3: ran it's it's"]
    again = prun("replay", run["run"], "s[0]")
    assert again.returncode == 1
    assert again.stderr.splitlines() == [
        """note: s[0] runs: prun_1='it'"'"'s'""",
        'echo ran "$prun_1" "${prun_1}" >&2; exit 3',
        "ran it's it's",
        "exit code 3: ran it's it's",
    ]


def test_a_debugger_has_nothing_to_stop_at_in_a_command(tmp_path, prun):
    (tmp_path / "p.yaml").write_text(json.dumps({"stages": {"s": {"run": "exit 3"}}}))
    prun("p.yaml")
    again = prun("replay", "last", "s", "--pdb")
    assert again.returncode == 1
    assert again.stderr.splitlines()[1:] == [
        "exit code 3",
        "note: none of your own Python failed here, so there is nothing for --pdb to stop at",
    ]


def test_the_journal_has_no_value_of_the_environment_in_it(run, tmp_path, monkeypatch):
    monkeypatch.setenv("TOKEN", "a-secret-of-the-test")
    stages = {"s": {"run": ": ${env.TOKEN} ${item}; exit ${item}", "over": [0, 1], "on_error": "skip"}}
    result = run(stages, state=tmp_path / "state")
    assert [failed.index for failed in result.failures] == [1]
    kept = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert kept
    assert [path for path in kept if b"a-secret-of-the-test" in path.read_bytes()] == []


@pytest.mark.parametrize(
    ("command", "status", "value"),
    [
        ("false; echo $?", "done", "1"),
        ("false\\\n; echo on ${params.x}\n", "done", "on y"),
        ("false; exit 3", "failed", None),
        ("echo one\nfalse\necho three", "failed", None),
        ("false || echo saved\necho ${params.x}", "done", "saved\ny"),
    ],
)
def test_one_line_goes_on_as_if_typed_and_of_several_the_first_that_fails_ends_all(run, command, status, value):
    result = run({"s": {"run": command, "on_error": "finish"}}, params={"x": "y"})
    assert (str(result.status), result["s"] if status == "done" else None) == (status, value)


def test_what_ps_shows_of_a_text_has_no_value_in_it(run, monkeypatch):
    monkeypatch.setenv("TOKEN", "a-secret-of-the-test")
    result = run({"s": {"run": ": ${env.TOKEN}; tr '\\0' ' ' < /proc/$$/cmdline"}})
    assert result["s"].startswith("/bin/sh -c ")
    assert "a-secret" not in result["s"]


def test_a_plan_shows_the_command():
    plan = Pipeline.from_text(
        "stages:\n  a:\n    run: |\n      set -u\n      echo ${item}\n    over: [1]\n  b: {run: [ls, a b], stdout: lines}\n"
    ).plan()
    assert "a\n  run      set -u\n           echo ${item}\n  method" in plan.explain()
    assert "b\n  run      ls 'a b'\n" in plan.explain()
    told = plan.to_json()["stages"]
    assert (told["a"]["run"], told["a"]["stdout"]) == ("set -u\necho ${item}", "text")
    assert (told["b"]["run"], told["b"]["stdout"]) == ("ls 'a b'", "lines")


def test_an_edge_of_a_command_names_the_key_that_makes_it():
    plan = Pipeline.from_text('stages: {a: {run: "true"}, b: {run: "echo ${stages.a}"}}').plan()
    (edge,) = plan.edges
    assert edge.why == '"run" of b takes all of a'
