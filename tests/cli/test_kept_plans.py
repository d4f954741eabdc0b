"""A plan is kept for the next run of the same words, and made anew after every change that matters."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from pipeline_runner import Problems
from pipeline_runner.cli.go import Asked, planned
from pipeline_runner.record import plans
from pipeline_runner.record.seal import load_key

PIPELINE = """
version: 1
name: kept
include: [common.yaml]
params: {top: 3}
env: {SHOWN: "${env.KEPT_PLANS_READ}"}
profiles: {other: {params: {top: 4}}}
stages:
  files: {call: "deeds:one", over: {glob: "data/*.txt"}}
  rows: {call: "deeds:named", over: {csv: rows.csv}, args: star}
  inner: {pipeline: inner.yaml}
  placed: {call: "tools/apart.py:one", with: {x: "${params.top}"}, workdir: place}
"""

FILES = {
    "pipeline.yaml": PIPELINE,
    "common.yaml": "params: {shared: 1}\n",
    "other_common.yaml": "params: {shared: 2}\n",
    "inner.yaml": "version: 1\nstages:\n  deep: {call: 'deeds:one', with: {x: 1}}\n",
    "values.yaml": "top: 5\n",
    "deeds.py": "import helper\n\n\ndef one(x):\n    return helper.same(x)\n\n\ndef named(a, b):\n    return a + b\n",
    "helper.py": "def same(x):\n    return x\n",
    "tools/apart.py": "import importlib\n\n\ndef one(x):\n    return importlib.import_module(f'plugins.{x}')\n",
    "plugins/a.py": "A = 1\n",
    "data/a.txt": "a",
    "rows.csv": "a,b\n1,2\n",
    "place/.keep": "",
}


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A project with a state folder, as it is after a run."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / ".prun").mkdir(mode=0o700)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KEPT_PLANS_READ", "first")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    load_key()
    return tmp_path


def anew(**asked):
    """Whether a run of these words has to plan; its plan is kept."""
    made = planned(Asked(**{"file": "pipeline.yaml", **asked}), lambda warning: None)
    made.keep()
    return made.anew


def the_file(site) -> Path:
    (file,) = (site / ".prun" / "plans").iterdir()
    return file


def test_the_same_words_have_the_same_plan_again(site):
    first = planned(Asked(file="pipeline.yaml", params="values.yaml"), lambda warning: None)
    first.keep()
    second = planned(Asked(file="pipeline.yaml", params="values.yaml"), lambda warning: None)
    assert (first.anew, second.anew) == (True, False)
    assert second.plan.stages.keys() == first.plan.stages.keys()
    assert second.plan.edges == first.plan.edges
    assert second.plan.groups == first.plan.groups
    assert second.plan.pipeline.params == first.plan.pipeline.params == {"top": 5, "shared": 1}
    assert {name: recipe.key for name, recipe in second.recipes.items()} == {
        name: recipe.key for name, recipe in first.recipes.items()
    }
    assert all(
        second.plan.stages[name].choice.method is stage.choice.method for name, stage in first.plan.stages.items()
    )


def write(name, text):
    return lambda site, monkeypatch: (site / name).write_text(text)


def lead_elsewhere(site, monkeypatch):
    (site / "common.yaml").unlink()
    (site / "common.yaml").symlink_to("other_common.yaml")


def the_same_bytes_later(site, monkeypatch):
    status = (site / "helper.py").stat()
    (site / "helper.py").write_text(FILES["helper.py"].replace("return x", "return 1"))
    os.utime(site / "helper.py", ns=(status.st_atime_ns, status.st_mtime_ns))


def hide_a_module(site, monkeypatch):
    (site / "helper").mkdir()
    (site / "helper" / "__init__.py").write_text("def same(x):\n    return 2\n")


def hide_by_a_path(site, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(site / "tools"), *sys.path])


def install_something(site, monkeypatch):
    (site / "installed" / "thing-2.0.dist-info").mkdir()


def another_program(site, monkeypatch):
    ours = site / "ours"
    ours.mkdir()
    (ours / "errors.py").write_text("")
    monkeypatch.setattr(plans, "OURS", ours)


CHANGES = {
    "the pipeline": write("pipeline.yaml", PIPELINE.replace("top: 3", "top: 2")),
    "a comment of the pipeline": write("pipeline.yaml", PIPELINE + "# new\n"),
    "an included file": write("common.yaml", "params: {shared: 7}\n"),
    "where an included file's link leads": lead_elsewhere,
    "a composed file": write("inner.yaml", FILES["inner.yaml"].replace("x: 1", "x: 2")),
    "the file of parameters": write("values.yaml", "top: 6\n"),
    "the function's file": write("deeds.py", FILES["deeds.py"] + "\n\ndef two(x):\n    return x\n"),
    "a module that it imports": write("helper.py", FILES["helper.py"] + "\nX = 1\n"),
    "a module that it may import": write("plugins/b.py", "B = 1\n"),
    "a file:function": write("tools/apart.py", "def one(x):\n    return x + 1\n"),
    "a file, its size and time as before": the_same_bytes_later,
    "a package that hides a module": hide_a_module,
    "sys.path": hide_by_a_path,
    "what is installed": install_something,
    "prun itself": another_program,
    "what was measured": write(".prun/tuned.json", "{}"),
    "a file that a glob finds": write("data/b.txt", "b"),
    "the head of a CSV file": write("rows.csv", "b,a\n1,2\n"),
    "what was measured of its stages": write(".prun/tuned.json", "{}"),
    "the CPUs": lambda site, monkeypatch: monkeypatch.setattr(plans, "usable", lambda: 63),
    "a variable that it reads": lambda site, monkeypatch: monkeypatch.setenv("KEPT_PLANS_READ", "second"),
    "threads of numerical libraries": lambda site, monkeypatch: monkeypatch.setenv("OMP_NUM_THREADS", "3"),
    "the user's key": lambda site, monkeypatch: monkeypatch.setenv("XDG_CONFIG_HOME", str(site / "elsewhere")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_plan_is_made_anew_after_a_change_of(change, site, monkeypatch):
    (site / "installed").mkdir()
    monkeypatch.syspath_prepend(str(site / "installed"))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    asked = {"params": "values.yaml"}
    anew(**asked)
    assert not anew(**asked)
    CHANGES[change](site, monkeypatch)
    assert anew(**asked)
    assert not anew(**asked)


def test_a_folder_that_is_gone_is_told_although_the_plan_was_kept(site):
    anew()
    shutil.rmtree(site / "place")
    with pytest.raises(Exception, match="place"):
        anew()


@pytest.mark.parametrize(
    "more",
    [
        {"given": ["top=9"]},
        {"profile": "other"},
        {"workers": 1},
        {"stages": ["files"]},
        {"until": ["files"]},
        {"sample": 1},
        {"keep_going": True},
        {"params": "values.yaml"},
    ],
)
def test_other_words_have_another_plan_and_the_first_stays(more, site):
    assert anew()
    assert anew(**more)
    assert not anew(**more)
    assert not anew()


def test_what_a_plan_does_not_depend_on_may_change(site, monkeypatch):
    anew()
    monkeypatch.setenv("KEPT_PLANS_NOT_READ", "x")
    (site / "notes.md").write_text("x")
    (site / "data" / "a.txt").write_text("other contents, the same name")
    assert not anew(quiet=True, as_json=True, show=["files"], no_cache=True)


def test_a_dep_that_is_gone_is_told_although_the_plan_was_kept(site):
    (site / "pipeline.yaml").write_text(
        "stages: {one: {call: 'deeds:one', with: {x: 1}, deps: [rows.csv, 'data/*']}}\n"
    )
    assert (anew(), anew()) == (True, False)
    (site / "data" / "b.txt").write_text("b")
    (site / "rows.csv").unlink()
    with pytest.raises(Problems, match=r"rows\.csv"):
        anew()


def test_a_program_that_is_gone_is_told_although_the_plan_was_kept(site, monkeypatch):
    tool = site / "bin" / "tool"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=os.pathsep)
    (site / "pipeline.yaml").write_text("stages: {one: {run: [tool, x]}}\n")
    assert (anew(), anew()) == (True, False)
    monkeypatch.setenv("PATH", str(site), prepend=os.pathsep)
    assert (anew(), anew()) == (True, False)
    tool.unlink()
    with pytest.raises(Problems, match="no such program"):
        anew()


def test_a_variable_that_is_no_longer_set_is_told(site, monkeypatch):
    anew()
    monkeypatch.delenv("KEPT_PLANS_READ")
    with pytest.raises(Exception, match="KEPT_PLANS_READ"):
        anew()


def test_a_variable_that_was_not_set_when_it_was_asked_for_is_an_answer_too(site, monkeypatch):
    text = PIPELINE.replace("top: 3", 'top: "${env.KEPT_PLANS_PERHAPS | default(3)}"')
    (site / "pipeline.yaml").write_text(text)
    assert anew()
    assert not anew()
    monkeypatch.setenv("KEPT_PLANS_PERHAPS", "4")
    assert anew()


DAMAGES = {
    "cut": lambda data: data[:-1],
    "emptied": lambda data: b"",
    "a bit flipped in the seal": lambda data: bytes([data[0] ^ 1]) + data[1:],
    "a bit flipped in the plan": lambda data: data[:-40] + bytes([data[-40] ^ 1]) + data[-39:],
    "another file's": lambda data: b"nonsense" * 100,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_plan_is_not_there(damage, site):
    anew()
    file = the_file(site)
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    assert anew()
    assert not anew()


def test_a_plan_that_others_may_write_or_read_is_not_there(site):
    anew()
    the_file(site).chmod(0o640)
    assert anew()


def test_a_link_in_the_place_of_a_plan_is_not_followed(site):
    anew()
    file = the_file(site)
    file.rename(site / "aside")
    file.symlink_to(site / "aside")
    assert anew()


def test_plans_are_for_their_user_alone(site):
    anew()
    assert the_file(site).stat().st_mode & 0o777 == 0o600
    assert (site / ".prun" / "plans").stat().st_mode & 0o777 == 0o700


def test_nothing_is_kept_of_a_pipeline_with_secrets(site, monkeypatch):
    monkeypatch.setenv("KEPT_PLANS_SECRET", "hush-hush-hush")
    (site / "pipeline.yaml").write_text(PIPELINE + "secrets: [KEPT_PLANS_SECRET]\n")
    assert anew()
    assert anew()
    assert not (site / ".prun" / "plans").exists()


def test_resuming_and_taking_from_before_are_planned_each_time(site):
    for _ in range(2):
        assert anew(only=["files"])
        assert anew(since=["files"])


def test_a_folder_that_cannot_be_written_keeps_nothing_and_fails_nothing(site):
    (site / ".prun" / "plans").write_text("in the way")
    assert anew()
    assert anew()


def test_only_so_many_plans_are_kept(site, monkeypatch):
    monkeypatch.setattr(plans, "MOST", 3)
    for top in range(5):
        anew(given=[f"top={top}"])
    assert len(list((site / ".prun" / "plans").iterdir())) == 3
    assert not anew(given=["top=4"])


@pytest.mark.timeout(60)
def test_a_second_run_gives_what_the_first_gave_and_an_edit_is_seen(prun, tmp_path):
    (tmp_path / "deeds.py").write_text("def double(x):\n    return 2 * x\n")
    (tmp_path / "pipeline.yaml").write_text(
        'version: 1\nstages:\n  one: {call: "deeds:double", over: [1, 2]}\n  all: {call: "builtins:sum", args: single,'
        ' with: ["${stages.one}"]}\n'
    )
    told = [json.loads(prun("pipeline.yaml", "--json", cwd=tmp_path).stdout) for _ in range(2)]
    assert [one["stages"]["all"]["value"] for one in told] == [6, 6]
    assert told[0]["stages"]["one"]["method"] == told[1]["stages"]["one"]["method"]
    (tmp_path / "deeds.py").write_text("def double(x):\n    return 3 * x\n")
    assert json.loads(prun("pipeline.yaml", "--json", cwd=tmp_path).stdout)["stages"]["all"]["value"] == 9
    assert list((tmp_path / ".prun" / "plans").iterdir())
    assert prun("clean", cwd=tmp_path).returncode == 0
    assert not list((tmp_path / ".prun" / "plans").iterdir())


def test_every_file_of_ours_counts():
    assert {path for path, *_ in plans._stamps(str(plans.OURS))} == set(map(str, plans.OURS.rglob("*.py")))
