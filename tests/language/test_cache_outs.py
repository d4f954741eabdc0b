"""`outs`: written aside and renamed, checked to be there, and never taken for whole when they are not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline_runner import Pipeline
from pipeline_runner.worker.limits import began
from pipeline_runner.worker.outs import aside, us
from pipeline_runner.worker.shell import CommandFailed

pytestmark = pytest.mark.timeout(120)

WORK = """
import os
import signal
import time
from pathlib import Path
from notes import HERE, note

def draw(name, to):
    note("draw", name)
    Path(to).write_text(f"picture of {name}")
    return to

def deep(name, to):
    Path(to).touch()
    return {"to": [Path(to)], "name": name}, (to, "to")

def both(name, first, second):
    Path(first).write_text("1")
    Path(second).write_text("2")

def itself(name, to):
    note("itself", name)
    (HERE / to).write_text(name)

def nothing(name, to):
    return to

def half_then_raise(name, to):
    Path(to).write_text("half")
    raise ValueError("no ink left")

def dies_first(name, to):
    note("try", name)
    with open(to, "a") as file:
        file.write("line of " + name + chr(10))
    if not (HERE / "died").exists():
        (HERE / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)

def hangs_first(name, to):
    "What people write who do not want to compute a thing twice."
    note("begun", name)
    if Path(to).exists():
        return
    if not (HERE / "go").exists():
        Path(to).write_text("half of " + name)
        open(HERE / "waits", "w").close()  # whoever reads it goes on now
        time.sleep(600)
    Path(to).write_text("all of " + name)

def fill(name, to):
    note("fill", name)
    (Path(to) / "sub").mkdir()
    (Path(to) / "sub" / name).write_text(name)

def make_folder(name, to):
    Path(to).mkdir()
    (Path(to) / name).write_text(name)
"""


@pytest.fixture
def project(made):
    made.module("work", WORK)
    return made


def stage(function, to="${out}", over=("a", "b"), outs=("out/deep/${item}.txt",), **more):
    return {"call": f"work:{function}", "over": list(over), "with": {"to": to}, "outs": list(outs), **more}


def below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("backend", ["multiprocessing", "futures", "serial", "threads", "ppft"])
def test_a_call_writes_to_another_name_and_gives_the_one_that_it_has_in_the_end(project, backend):
    project.stages({"draw": stage("draw", backend=backend)})

    result = project.run()

    assert result["draw"] == ["out/deep/a.txt", "out/deep/b.txt"]
    assert below(project.folder / "out") == ["deep/a.txt", "deep/b.txt"]
    assert (project.folder / "out/deep/a.txt").read_text() == "picture of a"
    assert sorted(os.listdir(project.folder / "out/deep")) == ["a.txt", "b.txt"]


def test_outs_are_written_where_nothing_is_kept_too(project):
    project.stages({"draw": stage("draw")})
    assert project.run(state=False)["draw"] == ["out/deep/a.txt", "out/deep/b.txt"]


def test_a_name_is_put_right_wherever_it_stands_in_a_value(project):
    project.stages(
        {"a": stage("itself", "out/deep/${item}.txt"), "b": stage("deep", outs=["kept/${item}"], needs=["a"])}
    )
    assert project.run()["b"][0] == ({"to": [Path("kept/a")], "name": "a"}, ("kept/a", "to"))


def test_several_outs_each_have_a_name(project):
    outs = ["one/${item}.txt", "two/${index}.txt"]
    told = {"first": "${outs[0]}", "second": "${outs[1]}"}
    project.stages({"both": {"call": "work:both", "over": ["x", "y"], "with": told, "outs": outs}})
    project.run()
    assert below(project.folder / "one") == ["x.txt", "y.txt"]
    assert below(project.folder / "two") == ["0.txt", "1.txt"]


@pytest.mark.parametrize("given", [{"name": "one", "to": "${out}"}, ["one", "${out}"]], ids=["names", "positions"])
def test_one_call_writes_too(project, given):
    project.stages({"draw": {"call": "work:draw", "with": given, "outs": "picture.txt"}})
    assert project.run()["draw"] == "picture.txt"
    assert (project.folder / "picture.txt").read_text() == "picture of one"


def test_a_call_may_write_the_file_itself(project):
    project.stages({"itself": stage("itself", "out/deep/${item}.txt", cache=True)})
    project.run()
    assert (project.folder / "out/deep/b.txt").read_text() == "b"
    project.made()
    assert project.run().state.stages["itself"].status == "reused"
    (project.folder / "out/deep/b.txt").write_text("x")
    project.run()
    assert project.made() == ["itself b"]
    assert (project.folder / "out/deep/b.txt").read_text() == "b"


@pytest.mark.parametrize("to", ["${out}", "out/deep/${item}.txt"])
def test_a_call_that_has_not_written_its_out_has_failed(project, to):
    project.stages({"nothing": stage("nothing", to, on_error="finish")})
    result = project.run()
    assert [failed.failure.type for failed in result.failures] == ["OutMissing", "OutMissing"]
    told = sorted(failed.failure.message for failed in result.failures)
    assert 'not written "out/deep/a.txt", which its `outs` name' in told[0]
    assert os.listdir(project.folder / "out/deep") == []


def test_what_a_failed_call_has_written_is_taken_away_and_what_was_there_stays(project):
    project.stages({"draw": stage("draw")})
    project.run()
    project.stages({"draw": stage("half_then_raise", on_error="finish")})
    assert project.run().status == "failed"
    assert (project.folder / "out/deep/a.txt").read_text() == "picture of a"
    assert below(project.folder / "out") == ["deep/a.txt", "deep/b.txt"]

    project.stages(
        {"draw": stage("half_then_raise", "other/${item}.txt", outs=["other/${item}.txt"], on_error="finish")}
    )
    assert project.run().status == "failed"
    assert below(project.folder / "other") == []


@pytest.mark.parametrize("to", ["${out}", "out/${item}.txt"])
def test_what_a_killed_try_has_written_is_gone_before_the_next(project, to):
    project.stages({"dies": stage("dies_first", to, over=["a"], outs=["out/${item}.txt"], retry=1)})
    (project.folder / "out").mkdir()
    assert project.run().status == "done"
    assert project.made() == ["try a", "try a"]
    assert (project.folder / "out/a.txt").read_text() == "line of a\n"
    assert os.listdir(project.folder / "out") == ["a.txt"]


@pytest.mark.parametrize("to", ["${out}", "out/${item}.txt"])
@pytest.mark.parametrize("again", [[], ["--resume"]], ids=["run", "resume"])
def test_a_file_half_written_when_the_runner_was_killed_is_not_taken_for_whole(project, to, again):
    project.stages({"slow": stage("hangs_first", to, over=["a"], outs=["out/${item}.txt"], cache=True)})
    command = [sys.executable, "-m", "pipeline_runner", "pipeline.yaml", "-q"]
    os.mkfifo(project.folder / "waits")
    runner = subprocess.Popen(command, cwd=project.folder, start_new_session=True)
    (project.folder / "waits").read_text()
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    (project.folder / "go").touch()

    ran = subprocess.run([*command, *again], cwd=project.folder, capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr
    assert (project.folder / "out/a.txt").read_text() == "all of a"
    assert os.listdir(project.folder / "out") == ["a.txt"]
    project.made()
    assert project.run().state.stages["slow"].status == "reused"


def left(project):
    return [str(path.relative_to(project.folder)) for path in project.folder.rglob(".prun-*")]


def test_nothing_is_left_beside_the_out_of_a_call_that_is_ended_since_another_stage_has_failed(project):
    os.mkfifo(project.folder / "waits")
    project.write(
        "boom.py", "from notes import HERE\ndef boom():\n    (HERE / 'waits').read_text()\n    raise ValueError('no')"
    )
    project.stages(
        {
            "slow": stage("hangs_first", "out/${item}.txt", over=["a"], outs=["out/${item}.txt"]),
            "boom": {"call": "boom:boom"},
        }
    )
    result = project.run()
    assert {name: str(one.status) for name, one in result.state.stages.items()} == {
        "slow": "cancelled",
        "boom": "failed",
    }
    assert left(project) == []
    assert below(project.folder / "out") == []


def test_nothing_is_left_beside_the_out_of_a_call_that_has_failed(project):
    project.stages({"a": {"run": "echo half > ${out}; exit 1", "outs": "sub/o.txt"}})
    assert project.run().status == "failed"
    assert left(project) == []
    assert below(project.folder / "sub") == []


@pytest.mark.parametrize(("to", "signs"), [("${out}", 0), ("out/${item}.txt", 1)])
def test_clean_takes_away_what_a_killed_run_has_left_but_no_sign_that_a_file_is_a_half(project, to, signs):
    project.stages({"slow": stage("hangs_first", to, over=["a"], outs=["out/${item}.txt"], cache=True)})
    command = [sys.executable, "-m", "pipeline_runner"]
    os.mkfifo(project.folder / "waits")
    runner = subprocess.Popen([*command, "pipeline.yaml", "-q"], cwd=project.folder, start_new_session=True)
    (project.folder / "waits").read_text()
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    assert len(left(project)) == 2

    done = subprocess.run([*command, "clean", "--all"], cwd=project.folder, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert len(left(project)) == 2 * signs
    (project.folder / "go").touch()
    assert project.run().status == "done"
    assert (project.folder / "out/a.txt").read_text() == "all of a"
    assert left(project) == []


def test_a_folder_is_an_out_and_is_replaced_whole(project):
    project.stages({"fill": stage("fill", over=["a"], outs=["out/${item}/"], cache=True)})
    project.run()
    assert below(project.folder / "out") == ["a/sub/a"]
    project.write("out/a/more", "of the user's")
    project.made()

    project.run()

    assert project.made() == ["fill a"]
    assert below(project.folder / "out") == ["a/sub/a"]
    assert project.run().state.stages["fill"].status == "reused"


def test_a_call_may_make_the_folder_itself(project):
    project.stages({"make": stage("make_folder", over=["a"], outs=["out/${item}"])})
    project.run()
    assert below(project.folder / "out") == ["a/a"]


def test_what_was_there_is_not_taken_for_what_a_call_has_written_that_asked_for_another_name(project):
    project.write("a.txt", "stale")
    project.stages({"nothing": stage("nothing", over=["a"], outs=["${item}.txt"], cache=True)})
    (failed,) = project.run().failures
    assert failed.failure.type == "OutMissing"
    assert (project.folder / "a.txt").read_text() == "stale"


def test_a_folder_of_the_users_is_not_replaced_by_a_file(project):
    project.write("src/precious.py", "x = 1")
    project.stages({"draw": stage("draw", over=["src"], outs=["${item}"])})
    (failed,) = project.run().failures
    assert failed.failure.message.startswith('"src" is a folder, and the call has written a file')
    assert below(project.folder / "src") == ["precious.py"]


@pytest.mark.parametrize("over", [["x", "x/y"], ["x/y", "x"], ["x/y/z", "w", "x"]])
def test_a_place_within_another_is_refused_while_it_runs(project, over):
    project.stages({"draw": stage("draw", over=over, outs=["out/${item}"], on_error="finish")})
    (failed,) = project.run().failures
    assert failed.failure.type == "OutWithin"
    assert "whoever writes the outer one replaces it whole" in failed.failure.message


@pytest.mark.parametrize("out", [".prun", ".prun/journal.db", "deep/.prun/x", "pipeline.yaml"])
def test_what_prun_itself_reads_or_writes_is_no_out(project, out):
    project.stages({"draw": stage("draw", over=[out], outs=["${item}"])})
    (failed,) = project.run().failures
    assert failed.failure.type == "OutOfOurs"


def test_two_calls_with_one_out_are_named(project):
    project.stages({"draw": stage("draw", over=["x/a", "y/a"], outs=["out/${item | stem}.txt"])})
    (failed,) = project.run().failures
    assert failed.failure.message.startswith('both draw[0] and draw[1] write "out/a.txt"')


def test_an_out_that_leads_outside_through_a_link_is_refused_unless_it_is_meant(project, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (project.folder / "link").symlink_to(tmp_path / "elsewhere")
    project.stages({"draw": stage("draw", over=["a"], outs=["link/${item}.txt"])})
    (failed,) = project.run().failures
    assert f'"link/a.txt" ({tmp_path}/elsewhere/a.txt) is outside of {project.folder}' in failed.failure.message
    assert below(tmp_path / "elsewhere") == []

    project.stages({"draw": stage("draw", over=["a"], outs=["link/${item}.txt"], allow_outside=True)})
    assert project.run()["draw"] == ["link/a.txt"]
    assert below(tmp_path / "elsewhere") == ["a.txt"]


def being_written(project, pid, since):
    """What another run's call that is at "a.txt" has made there."""
    other = Path(aside(str(project.folder.resolve() / "a.txt")))
    other.mkdir()
    host, *_ = us().split()
    (other / ".prun-began").write_text(f"{host} {pid} {since} file")


def test_an_out_that_another_run_is_writing_is_left_to_it(project):
    project.stages({"draw": stage("draw", over=["a"], outs=["${item}.txt"])})
    being_written(project, os.getppid(), began(os.getppid()))

    (failed,) = project.run().failures

    assert failed.failure.type == "OutBusy"
    assert failed.failure.message == f'"a.txt" is being written by another run (pid {os.getppid()}); let that end first'


def test_an_out_of_a_dead_run_whose_number_another_process_has_now_is_nobodys(project):
    project.stages({"draw": stage("draw", over=["a"], outs=["${item}.txt"])})
    being_written(project, os.getppid(), "1")

    assert project.run()["draw"] == ["a.txt"]
    assert not list(project.folder.glob(".prun-*"))


def test_a_copy_of_a_project_has_none_of_the_outs_of_the_first(project, tmp_path):
    import shutil

    project.stages({"draw": stage("draw", cache=True)})
    project.run(state=tmp_path / "state")
    copy = shutil.copytree(project.folder, tmp_path / "copy", ignore=shutil.ignore_patterns("out", "made"))
    from pipeline_runner import Pipeline

    Pipeline.load(copy / "pipeline.yaml").run(state=tmp_path / "state")

    assert below(copy / "out") == ["deep/a.txt", "deep/b.txt"]


def test_resuming_makes_a_lost_out_again(project):
    project.stages({"draw": stage("draw")})
    run = project.run()
    project.made()
    (project.folder / "out/deep/a.txt").unlink()

    project.run(resume=run.id)

    assert project.made() == ["draw a"]


def test_a_call_is_run_again_by_replay_with_its_outs(project):
    project.stages({"draw": stage("draw")})
    run = project.run()
    (project.folder / "out/deep/a.txt").unlink()
    assert project.load().replay(run.id, "draw", 0) == "out/deep/a.txt"
    assert (project.folder / "out/deep/a.txt").exists()


@pytest.mark.parametrize(
    "of", [{"over": ["picture"], "outs": ["out/${item}"]}, {"outs": ["out/picture"]}], ids=["items", "one call"]
)
def test_a_command_that_has_failed_is_run_again_by_replay_with_its_outs(project, of):
    project.stages({"draw": {"run": "printf picture > ${out}; test -e go", "on_error": "finish", **of}})
    run = project.run()
    assert [failed.failure.type for failed in run.failures] == ["CommandFailed"]

    with pytest.raises(CommandFailed):
        project.load().replay(run.id, "draw", 0)
    assert below(project.folder / "out") == []

    project.write("go", "")
    project.load().replay(run.id, "draw", 0)
    assert (project.folder / "out/picture").read_text() == "picture"


def test_a_call_of_a_project_that_was_moved_is_replayed_where_it_is_now(project, tmp_path):
    project.stages({"draw": stage("half_then_raise", over=["a"], on_error="finish")})
    run = project.run()
    moved = project.folder.rename(tmp_path / "moved")

    with pytest.raises(ValueError, match="no ink left"):
        Pipeline.load(moved / "pipeline.yaml").replay(run.id, "draw", 0)

    assert not project.folder.exists()
