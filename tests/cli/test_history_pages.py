"""The pages about earlier runs, whole: pages/NAME.txt is what the command writes about runs made up here.

`PRUN_ACCEPT=1 pytest tests/cli` writes the texts anew; the diff is then what is reviewed.
"""

from __future__ import annotations

import os
import pickle
import time
from pathlib import Path

import pytest

from pipeline_runner import events
from pipeline_runner.axes import Status
from pipeline_runner.calls import Cause, Failure
from pipeline_runner.cli import app
from pipeline_runner.record.journal import Journal
from pipeline_runner.record.recipe import Recipe
from pipeline_runner.record.store import Store

PAGES = Path(__file__).parent / "pages"
BEGAN = 1767225600.0  # 2026-01-01 00:00:00 UTC
WORDS, FAILED, KILLED, PYTHON, AT_WORK = (
    "20260101-000000-aaaaaa",
    "20260101-010000-bbbbbb",
    "20260101-020000-cccccc",
    "20260101-030000-dddddd",
    "20260101-040000-eeeeee",
)

TRACEBACK = """Traceback (most recent call last):
  File "/home/ada/words/texts.py", line 12, in count
    raise BadText(path, "two\\nlines")
texts.BadText: {path}: cannot be read
second line
"""


def failure(path):
    message = f"{path}: cannot be read\nsecond line"
    return Failure(Cause.RAISED, "BadText", message, TRACEBACK.format(path=path))


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.delenv("PRUN_STATE", raising=False)
    monkeypatch.chdir(tmp_path)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


class Written:
    """A run, written event by event."""

    def __init__(self, store, run, hours, *, name, stages, shapes=None, **about):
        self.at = BEGAN + 3600 * hours
        told = {"pipeline": name, "file": "pipeline.yaml", "folder": os.getcwd(), "identity": name, "workers": 4}
        told["stages"] = shapes or {}
        self.journal = Journal(store, run, {**told, **about}, {s: Recipe({"call": s}) for s in stages})
        self(events.RunStarted, run=run, pipeline=name, workers=4, stages=stages)

    def __call__(self, kind, **given):
        self.at += 1
        self.journal.take(kind(at=self.at, **given))

    def done(self, stage, values, first=0):
        self.journal.keep(stage, range(first, first + len(values)), None, pickle.dumps(values))


@pytest.fixture
def store(tmp_path):
    """Five runs: one that is done, one that failed, one that was killed, one of Python's, one at work."""
    store = Store(tmp_path / ".prun")

    shapes = {"count": {"gives": "list", "read": True}, "total": {"gives": "value", "read": False}}
    run = Written(store, WORDS, 0, name="words", stages=("count", "total"), shapes=shapes)
    run(events.StageStarted, stage="count", method="multiprocessing.Pool.imap", calls=3)
    run(events.Printed, stage="count", index=0, stream="stdout", line="reading a.txt")
    run(events.Printed, stage="count", index=2, stream="stderr", line="c.txt is empty")
    run(events.Printed, stage="count", index=None, stream="stdout", line="set up")
    run.done("count", [5, 7, 0])
    run(events.StageEnded, stage="count", status=Status.DONE, took_s=62.0, done=3)
    run(events.StageStarted, stage="total", method="multiprocessing.Pool.apply", calls=1)
    run.done("total", [12])
    run(events.StageEnded, stage="total", status=Status.DONE, took_s=0.25, done=1)
    run(events.RunEnded, status=Status.DONE, took_s=63.5)
    run.journal.close()

    given = {"given": {"folder": "texts", "top": 3}, "profile": "quick"}
    run = Written(store, FAILED, 1, name="words", stages=("count", "total"), **given)
    run(events.StageStarted, stage="count", method="multiprocessing.Pool.imap", calls=40)
    run.done("count", list(range(33)), first=7)
    run(events.CallRetried, stage="count", index=6, tries=1, limit=2, wait_s=0.0, failure=failure("g.txt"))
    for index in (6, 0, 1, 2, 3, 4, 5):
        path = f"{'abcdefg'[index]}.txt"
        tries = 2 if index == 6 else 1
        run(events.CallFailed, stage="count", index=index, tries=tries, failure=failure(path), argument=repr(path))
    run(events.StageEnded, stage="count", status=Status.FAILED, took_s=3.25, done=33)
    run(events.StageEnded, stage="total", status=Status.CANCELLED, took_s=0.0, done=0)
    run(events.RunEnded, status=Status.FAILED, took_s=3.5)
    run.journal.close()

    run = Written(store, KILLED, 2, name="pages", stages=("fetch", "index"))
    run(events.StageStarted, stage="fetch", method="concurrent.futures.ThreadPoolExecutor.submit", calls=None)
    run.done("fetch", list(range(250)))
    run.journal.close()

    run = Written(store, PYTHON, 3, name="notebook", stages=("fit",), file="")
    run(events.StageStarted, stage="fit", method="multiprocessing.Pool.apply", calls=1)
    died = Failure(Cause.LOST, "WorkerDied", "worker 4312 died (signal 9, SIGKILL, often: out of memory)")
    run(events.CallFailed, stage="fit", index=0, tries=1, failure=died)
    run(events.StageEnded, stage="fit", status=Status.FAILED, took_s=1.0, done=0)
    run(events.RunEnded, status=Status.FAILED, took_s=1.5)
    run.journal.close()

    run = Written(store, AT_WORK, 4, name="long", stages=("work",))
    run(events.StageStarted, stage="work", method="multiprocessing.Pool.imap", calls=100)
    run.done("work", [1, 2, 3])
    run.journal.close()
    lock = store.lock("long", AT_WORK)
    yield store
    lock.release()


@pytest.fixture
def said(capsys, tmp_path):
    """Run a command here and give all that it says, with its exit code where that is not 0."""

    def said(*words):
        with pytest.raises(SystemExit) as left:
            app.run(words)
        out, err = capsys.readouterr()
        parts = [part for part in (out.rstrip("\n"), err.rstrip("\n")) if part]
        told = [*parts, *([f"exit {left.value.code}"] if left.value.code else [])]
        return "\n".join(told).replace(str(tmp_path), "/here") + "\n"

    return said


COMMANDS = {
    "runs": ["runs"],
    "runs_as_json": ["runs", "--json"],
    "runs_in_another_folder": ["runs", "--state", "nowhere"],
    "show_done": ["show", WORDS],
    "show_done_as_json": ["show", WORDS, "--json"],
    "show_failed": ["show", "20260101-01"],
    "show_killed": ["show", KILLED],
    "show_made_in_python": ["show", PYTHON],
    "show_at_work": ["show", "last"],
    "show_unknown": ["show", "20260101-010000-bbbbbc"],
    "show_ambiguous": ["show", "2026"],
    "logs": ["logs", WORDS],
    "logs_of_a_call": ["logs", WORDS, "count[2]"],
    "logs_of_stdout": ["logs", WORDS, "count", "--stdout"],
    "logs_of_a_silent_call": ["logs", WORDS, "count[1]"],
    "logs_of_an_unknown_stage": ["logs", WORDS, "cuont"],
    "logs_of_an_unknown_item": ["logs", WORDS, "count[3]"],
    "logs_of_no_call": ["logs", WORDS, "count[x]"],
    "diff": ["diff", WORDS, FAILED],
    "diff_as_json": ["diff", WORDS, FAILED, "--json"],
    "diff_back": ["diff", FAILED, WORDS],
    "diff_before": ["diff", "20260101-01", "--json"],
    "diff_of_the_same": ["diff", WORDS, WORDS],
    "diff_of_two_pipelines": ["diff", KILLED, PYTHON],
    "diff_of_the_first": ["diff", WORDS],
    "diff_of_unknown": ["diff", WORDS, "20260101-010000-bbbbbc"],
    "replay_made_in_python": ["replay", PYTHON, "fit[0]"],
    "clean_nothing": ["clean", "-n"],
    "clean_all_dry": ["clean", "--all", "-n"],
    "clean_keep": ["clean", "--keep", "1"],
    "clean_wrong_time": ["clean", "--older", "soon"],
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.usefixtures("store")
def test_a_page_is_as_it_was_reviewed(name, said):
    text = said(*COMMANDS[name])
    golden = PAGES / f"{name}.txt"
    if os.environ.get("PRUN_ACCEPT"):
        golden.write_text(text, encoding="utf-8")
    if name == "clean_keep":  # how large a database is, is SQLite's own
        text, golden_text = (t.partition("; freed")[0] for t in (text, golden.read_text("utf-8")))
        assert text == golden_text
    else:
        assert text == golden.read_text("utf-8")


def test_every_page_is_asked_for():
    assert {page.stem for page in PAGES.glob("*.txt")} == set(COMMANDS)


def test_a_ratio_is_told_where_it_tells_something(said, tmp_path):
    store = Store(tmp_path / ".prun")
    times = {"slower": (2.0, 4.5), "faster": (3.0, 2.0), "quick": (0.01, 0.03), "alike": (3.0, 3.2)}
    for number in (0, 1):
        run = Written(
            store, f"20260101-0{number}0000-aaaaaa", number, name="times", stages=tuple(times), workers=number
        )
        for stage, took in times.items():
            run(events.StageStarted, stage=stage, method="multiprocessing.Pool.apply", calls=1)
            run(events.StageEnded, stage=stage, status=Status.DONE, took_s=took[number], done=1)
        run(events.RunEnded, status=Status.DONE, took_s=5.0 + number)
        run.journal.close()

    told = [" ".join(line.split()) for line in said("diff").splitlines()]

    assert "took 5.00 s → 6.00 s, 1.2 × slower" in told
    assert "slower done 1 0 0 2.00 s → 4.50 s, 2.2 × slower not kept" in told
    assert "faster done 1 0 0 3.00 s → 2.00 s, 1.5 × faster not kept" in told
    assert "quick done 1 0 0 0.01 s → 0.03 s not kept" in told
    assert "alike done 1 0 0 3.00 s → 3.20 s not kept" in told


@pytest.mark.usefixtures("store")
def test_from_elsewhere_the_commands_name_what_they_need(said, tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    text = said("show", FAILED, "--state", "../.prun")
    assert f"prun ../pipeline.yaml --resume {FAILED}\n" in text
    assert f"prun replay {FAILED} 'count[0]' --state ../.prun\n" in text


def test_a_folder_that_is_no_store_is_exit_4(said, tmp_path):
    (tmp_path / ".prun").write_text("a file")
    for command in (["runs"], ["show", "last"], ["logs", "last"], ["diff"], ["replay", "last", "a[0]"], ["clean"]):
        assert said(*command).endswith("exit 4\n")
