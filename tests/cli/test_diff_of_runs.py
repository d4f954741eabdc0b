"""`prun diff` of real runs: what it says has changed, and what it does not say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pipeline_runner import Pipeline
from pipeline_runner.record.compare import compare
from pipeline_runner.record.history import History
from pipeline_runner.record.store import Store

pytestmark = pytest.mark.timeout(90)

ROOT = str(Path(__file__).parents[2])

DEEDS = """
    import os

    def double(x): return x * 2
    def fussy(x):
        if x == int(os.environ.get("BAD", -1)):
            raise ValueError(f"no {x}")
        return {"number": x}
    def total(values, top=0): return sum(values) + top
    def lucky(x): return [x, os.environ.get("LUCK", "") if x in (3, 5) else ""]
    def read(path):
        with open(path) as file: return file.read().upper()
    def large(x): return bytes([x]) * 300_000 if x < 2 else os.environ.get("LUCK", "").encode() * 300_000
    def grid(x):
        import numpy
        field = numpy.zeros(100_000)
        field[7] = ord(os.environ["LUCK"]) if x == 1 else x
        return {"field": field, "twice": [field, x]}
    def words(x): return {f"{x} {letter}" for letter in "abcdefgh"}
    def enter(x, token): return len(token) + x
"""


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "deeds.py").write_text(textwrap.dedent(DEEDS))
    return folder


@pytest.fixture
def prun(tmp_path, folder):
    """Run `prun WORDS…` in the project, with these variables; give the finished process."""

    def prun(*words, **variables):
        environ = {name: value for name, value in os.environ.items() if name != "PRUN_STATE"}
        environ |= {"PYTHONPATH": ROOT, "XDG_CONFIG_HOME": str(tmp_path / "config"), **variables}
        return subprocess.run(
            [sys.executable, "-m", "pipeline_runner", *words],
            cwd=folder,
            env=environ,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )

    return prun


@pytest.fixture
def ran(prun, folder):
    """Run stages; give the run's name. `also` are words of the command line."""

    def ran(stages, *also, file="pipeline.yaml", variables=None, **top):
        told = {"version": 1, "name": "p", "workers": 2, "defaults": {"backend": "serial"}, **top, "stages": stages}
        (folder / file).write_text(json.dumps(told))
        done = prun(file, "--json", *also, **(variables or {}))
        assert done.stdout, done.stderr
        return json.loads(done.stdout)["run"]

    return ran


@pytest.fixture
def diff(prun):
    """What `prun diff WORDS…` says, and its object."""

    def diff(*words):
        said, data = prun("diff", *words), prun("diff", *words, "--json")
        assert (said.returncode, said.stderr, data.returncode, data.stderr) == (0, "", 0, "")
        return said.stdout, json.loads(data.stdout)

    return diff


DOUBLE = {"call": "deeds:double", "over": {"range": 6}}
TOTAL = {"call": "deeds:total", "with": {"values": "${stages.a}", "top": "${params.top}"}}


def test_two_runs_of_the_same_have_nothing_that_changed(ran, diff):
    first, second = ran({"a": DOUBLE}), ran({"a": DOUBLE})
    text, data = diff(first, second)
    assert re.fullmatch(rf"{first} → {second}  p: nothing changed; took .*\n", text)
    assert data["changed"] is False
    assert (data["options"], data["params"]) == ({}, {})
    assert data["stages"]["a"]["values"] == {"items": 6, "differ": [], "all": True}


def test_one_run_is_held_against_the_one_before_it_of_the_same_pipeline(ran, diff, prun):
    first, second = ran({"a": DOUBLE}), ran({"a": DOUBLE})
    other = ran({"a": DOUBLE}, file="other.yaml")
    third = ran({"a": DOUBLE})

    def names(*words):
        _, data = diff(*words)
        return data["then"]["run"], data["now"]["run"]

    assert names() == names("last") == (second, third)
    assert names(second) == (first, second)
    assert names(third, first) == (third, first)
    for words, why in [
        ([other], "is the first of its pipeline"),
        (["1999"], "there is no run"),
        ([third, "x"], "no run"),
    ]:
        refused = prun("diff", *words)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert why in refused.stderr


def test_runs_of_two_pipelines_are_compared_and_it_says_so(ran, diff):
    first, second = ran({"a": DOUBLE}), ran({"a": DOUBLE}, file="other.yaml", name="q")
    text, data = diff(first, second)
    assert re.search(r"two pipelines: p \(.*/pipeline.yaml\) → q \(.*/other.yaml\)\n", text)
    assert (data["same_pipeline"], data["changed"], data["stages"]["a"]["change"]) == (False, True, "same")


def test_what_the_runs_were_given_is_told_also_where_a_default_has_changed(ran, diff):
    stages = {"a": DOUBLE, "sum": TOTAL}
    ran(stages, params={"top": 1, "model": {"rate": 0.5, "seed": 7}, "old": "x"})
    ran(stages, "-j", "3", "--sample", "4", "--until", "a", params={"top": 2, "model": {"rate": 0.25, "seed": 7}})
    text, data = diff()
    assert data["params"] == {
        "top": {"then": 1, "now": 2},
        "model.rate": {"then": 0.5, "now": 0.25},
        "old": {"then": "x"},
    }
    assert data["options"] == {
        "workers": {"then": 2, "now": 3},
        "part": {"then": None, "now": "--until a --sample 4"},
    }
    assert "\nworkers  2 → 3\n" in text
    assert '\nparams   top 1 → 2\n         model.rate 0.5 → 0.25\n         old "x" (gone)\n' in text
    assert data["stages"]["sum"]["change"] == "removed"


def test_why_a_stage_computes_something_else_is_told_by_what_has_changed(ran, diff, folder):
    stages = {"a": {**DOUBLE, "deps": ["dep.txt"]}, "sum": TOTAL, "b": {**DOUBLE, "env": {"X": "1"}}}
    (folder / "dep.txt").write_text("one")
    ran(stages, params={"top": 1})
    (folder / "dep.txt").write_text("two")
    (folder / "deeds.py").write_text((folder / "deeds.py").read_text().replace("sum(values) +", "-sum(values) +"))
    ran({**stages, "b": {**DOUBLE, "env": {"X": "2"}, "salt": "s"}}, params={"top": 2})
    text, data = diff()
    why = {name: stage["why"] for name, stage in data["stages"].items()}
    assert why == {
        "a": ["file dep.txt has changed"],
        "sum": ["function deeds:total has changed", "argument top has changed"],
        "b": ["env X has changed", "salt is new"],
    }
    assert {name: stage["recipe"] for name, stage in data["stages"].items()} == {
        "a": "same",
        "sum": "changed",
        "b": "changed",
    }
    assert "\nsum:\n  function deeds:total has changed, argument top has changed\n  its value differs\n" in text
    assert "\na:\n  file dep.txt has changed\n\n" in text
    assert data["stages"]["b"]["values"] == {"items": 6, "differ": [], "all": True}


def test_a_stage_that_reads_a_changed_one_says_which(ran, diff):
    ran({"a": DOUBLE, "b": {"call": "deeds:double", "over": "${stages.a}", "returns": "list"}})
    ran({"a": {**DOUBLE, "salt": "x"}, "b": {"call": "deeds:double", "over": "${stages.a}", "returns": "list"}})
    _, data = diff()
    assert data["stages"]["b"]["why"] == ['source "a" has changed']


def test_stages_are_added_removed_and_renamed(ran, diff):
    ran({"a": DOUBLE, "gone": {**DOUBLE, "salt": "g"}})
    ran({"twice": DOUBLE, "new": {**DOUBLE, "salt": "n"}})
    text, data = diff()
    assert {name: stage["change"] for name, stage in data["stages"].items()} == {
        "twice": "renamed",
        "new": "added",
        "gone": "removed",
    }
    assert data["stages"]["twice"]["was"] == "a"
    assert data["stages"]["twice"]["values"] == {"items": 6, "differ": [], "all": True}
    assert (data["stages"]["new"]["then"], data["stages"]["gone"]["now"]) == (None, None)
    assert re.search(r"^>  a → twice  done ", text, re.MULTILINE)
    assert re.search(r"^\+  new        done ", text, re.MULTILINE)
    assert re.search(r"^-  gone       done ", text, re.MULTILINE)


def test_items_that_fail_now_and_those_that_do_not_any_more_are_named(ran, diff):
    stages = {"a": {"call": "deeds:fussy", "over": {"range": 6}, "on_error": "skip", "retry": 1}}
    ran(stages, variables={"BAD": "4"})
    ran(stages, variables={"BAD": "2"})
    text, data = diff()
    assert "\na:\n  item 2 fails now: ValueError: no 2\n  failed then and not now: 4\n" in text
    stage = data["stages"]["a"]
    assert (stage["change"], stage["then"]["failures"], stage["now"]["failures"]) == (
        "changed",
        {"4": "ValueError: no 4"},
        {"2": "ValueError: no 2"},
    )
    assert (stage["now"]["retried"], stage["values"]) == (1, {"items": 4, "differ": [], "all": True})
    assert (stage["only_then"], stage["only_now"]) == ([2], [4])


def test_values_that_differ_are_found_in_whatever_chunks_they_came(ran, diff):
    def stages(chunk):
        return {"a": {"call": "deeds:lucky", "over": {"range": 40}, "chunk": chunk}}

    ran(stages(1), variables={"LUCK": "good"})
    ran(stages(7), variables={"LUCK": "bad"})
    text, data = diff()
    assert data["stages"]["a"]["values"] == {"items": 40, "differ": [3, 5], "all": True}
    assert "  values differ in 2 of 40 items: 3, 5\n" in text
    assert "2 of 40 differ\n" in text


def test_sets_large_bytes_and_arrays_are_compared_by_what_is_in_them(ran, diff):
    over = {"over": {"range": 3}}
    for seed, luck in (("1", "x"), ("2", "y")):
        stages = {
            "words": {"call": "deeds:words", **over},
            "large": {"call": "deeds:large", **over, "chunk": int(seed)},
            "grid": {"call": "deeds:grid", **over, "chunk": int(seed)},
        }
        ran(stages, variables={"PYTHONHASHSEED": seed, "LUCK": luck})
    _, data = diff()
    assert data["stages"]["words"]["values"] == {"items": 3, "differ": [], "all": True}
    assert data["stages"]["large"]["values"] == {"items": 3, "differ": [2], "all": True}
    assert data["stages"]["grid"]["values"] == {"items": 3, "differ": [1], "all": True}


def test_an_item_that_came_in_between_does_not_make_all_after_it_differ(ran, diff, folder):
    stages = {"read": {"call": "deeds:read", "over": {"glob": "*.txt"}}}
    for name in "abdef":
        (folder / f"{name}.txt").write_text(name)
    ran(stages)
    (folder / "c.txt").write_text("c")
    (folder / "e.txt").write_text("other")
    ran(stages)
    text, data = diff()
    stage = data["stages"]["read"]
    assert (stage["recipe"], stage["only_then"], stage["only_now"]) == ("same", [], [2])
    assert (stage["given"], stage["values"]) == (
        {"items": 5, "differ": [4]},
        {"items": 5, "differ": [4], "all": True},
    )
    assert "given something else: 1 of 5 items: 4\n" in text


def test_a_stage_that_was_reused_has_the_values_that_it_had(ran, diff, folder):
    stages = {"a": {**DOUBLE, "cache": True}, "watch": {"run": "test ! -e bad"}}
    ran(stages, on_failure={"run": "echo oh"})
    (folder / "bad").touch()
    ran(stages, on_failure={"run": "echo oh"})
    text, data = diff()
    assert (data["stages"]["a"]["then"]["status"], data["stages"]["a"]["now"]["status"]) == ("done", "reused")
    assert data["stages"]["a"]["values"] == {"items": 6, "differ": [], "all": True}
    assert "\nwatch:\n  it fails now: CommandFailed: exit code 1\n" in text
    assert [stage["now"]["status"] for stage in data["stages"].values()] == ["reused", "failed", "done"]
    assert list(data["stages"])[2] == "on_failure"  # which has an end of its own where it had something to do


def test_values_that_were_not_kept_are_said_not_to_be(ran, diff):
    stages = {"a": {**DOUBLE, "returns": "none"}, "b": {"call": "deeds:double", "over": {"range": 2}}}
    ran(stages)
    ran(stages)
    text, data = diff()
    assert "nothing changed, as far as is known: not all values of a could be compared; took" in text
    assert data["stages"]["a"]["values"]["all"] is False
    ran(stages, "-j", "1")
    assert re.search(r"^ +a .* not kept$", diff()[0], re.MULTILINE)


def test_a_secret_is_in_nothing_that_is_told(ran, diff, folder):
    token, other = "hunter2-hunter2", "swordfish-sword"
    stages = {
        "a": {
            "call": "deeds:enter",
            "over": {"range": 3},
            "with": {"token": "${env.TOKEN}"},
            "env": {"DOOR": "${env.TOKEN}"},
            "deps": ["${env.TOKEN}.txt"],
        }
    }
    for secret in (token, other):
        (folder / f"{secret}.txt").write_text("x")
        params = {"door": "${env.TOKEN}", "step": 1}
        ran(stages, variables={"TOKEN": secret}, secrets=["TOKEN"], params=params)
    text, data = diff()
    assert {"argument token has changed", "env DOOR has changed"} <= set(data["stages"]["a"]["why"])
    assert data["params"] == {}
    for secret in (token, other):
        assert secret not in text
        assert secret not in json.dumps(data)
        assert secret.encode() not in b"".join(
            file.read_bytes() for file in (folder / ".prun").rglob("*") if file.is_file()
        )
    assert not re.search("[0-9a-f]{64}", text + json.dumps(data))


def test_a_run_that_is_damaged_is_compared_as_far_as_it_can_be_read(ran, diff, folder):
    import sqlite3

    first, second = ran({"a": DOUBLE}), ran({"a": {**DOUBLE, "salt": "x"}})
    with sqlite3.connect(folder / ".prun" / "journal.db", isolation_level=None) as connection:
        connection.execute("UPDATE recipe SET parts = 'no json'")
        connection.execute("UPDATE run SET body = '{' WHERE id = ?", (first,))
    connection.close()
    text, data = diff(first, second)
    assert data["stages"]["a"]["recipe"] == "changed"
    assert "\na:\n  its recipe has changed\n" in text


def test_runs_of_many_stages_are_each_told_once_and_not_for_every_stage(folder, monkeypatch):
    stages = "\n".join(f"  s{n}: {{call: 'builtins:abs', with: [{n}], cache: true}}" for n in range(60))
    (folder / "pipeline.yaml").write_text(f"version: 1\nname: many\nstages:\n{stages}\n")
    for _ in range(2):
        Pipeline.load(folder / "pipeline.yaml").run(state=folder / ".prun")
    told, tell = [], History.told
    monkeypatch.setattr(History, "told", lambda self, run: (told.append(run), tell(self, run))[1])
    history = History(Store(folder / ".prun"))
    now, then = history.names()
    compared = compare(history, then, now)
    assert len(compared.stages) == 60
    assert len(told) <= 6
