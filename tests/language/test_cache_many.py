"""Thousands of stages that are up to date: what each costs is counted, and none is believed that has changed."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing

import pytest

from pipeline_runner.record.ahead import Ahead
from pipeline_runner.record.history import History
from pipeline_runner.record.reading import QUICK
from pipeline_runner.record.store import Store
from pipeline_runner.record.times import LOOKED_BACK

pytestmark = pytest.mark.timeout(120)

WORK = """
from pathlib import Path
from notes import note

def draw(name, to):
    note("draw", name)
    Path(to).write_text(name)
    return name

def much(name, to, size):
    note("much", name)
    Path(to).write_bytes(name.encode() * size)

def whole(name):
    note("whole", name)
    return name
"""


@pytest.fixture
def project(made):
    made.module("work", WORK)
    return made


@pytest.fixture
def counted(monkeypatch):
    """What a run asks its store, and how many threads it begins."""
    asked: list[str] = []
    connect = Store._connect

    def traced(store):
        connection = connect(store)
        connection.set_trace_callback(asked.append)
        return connection

    monkeypatch.setattr(Store, "_connect", traced)
    started: list[object] = []
    start = __import__("threading").Thread.start
    monkeypatch.setattr("threading.Thread.start", lambda thread: (started.append(thread), start(thread))[1])

    def count(run):
        asked.clear()
        started.clear()
        run()
        return sum("SELECT" in statement for statement in asked), len(started)

    return count


def drawing(count):
    stages = {"s0": {"call": "work:draw", "with": ["s0", "${out}"], "outs": ["out/s0"], "cache": True}}
    for number in range(1, count):
        one = {"call": "work:draw", "with": [f"s{number}", "${out}"], "outs": [f"out/s{number}"], "cache": True}
        stages[f"s{number}"] = one | {"needs": [f"s{number // 2}"] if number > 1 else ["s0"]}
    return stages


def statuses(result):
    return {stage.status.value for stage in result.state.stages.values()}


def test_what_is_up_to_date_needs_no_thread_and_no_question_of_its_own(project, counted):
    (project.folder / "out").mkdir()
    asked = {}
    for count in (20, 140):
        project.stages(drawing(count))
        project.run()
        asked[count], threads = counted(project.run)
        assert threads <= 1  # the beacon's
    assert asked[140] - asked[20] < 20  # for 120 stages more


def test_what_each_run_has_copied_before_costs_the_next_one_nothing(project, counted):
    (project.folder / "out").mkdir()
    project.stages(drawing(30))
    project.run()
    first, _ = counted(project.run)
    for _ in range(3):
        project.run()
    assert counted(project.run)[0] <= first + 2 * LOOKED_BACK  # which are asked for their times


def test_every_run_has_its_own_rows_and_events_of_what_it_reused(project):
    (project.folder / "out").mkdir()
    project.stages(drawing(12))
    project.run()
    again = project.run()
    assert statuses(again) == {"reused"}
    with closing(sqlite3.connect(project.state / "journal.db")) as connection:
        rows = connection.execute("SELECT stage FROM done WHERE run = ?", (again.id,)).fetchall()
        ended = connection.execute("SELECT stage FROM event WHERE run = ? AND kind = 'StageEnded'", (again.id,))
        assert sorted(rows) == sorted(ended.fetchall()) == sorted((f"s{number}",) for number in range(12))


@pytest.mark.parametrize("spoil", ["gone", "other", "same size and times"])
def test_one_file_among_many_that_is_not_what_was_written_is_made_again(project, spoil):
    (project.folder / "out").mkdir()
    project.stages(drawing(70))
    project.run()
    project.made()
    file = project.folder / "out" / "s41"
    before = file.stat()
    if spoil == "gone":
        file.unlink()
    elif spoil == "other":
        file.write_text("else")
    else:
        file.write_text("S41")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    project.run()
    assert project.made() == ["draw s41"]
    assert file.read_text() == "s41"


def test_a_file_that_takes_long_to_read_is_looked_at_in_a_thread(project, counted):
    project.stages({"much": {"call": "work:much", "with": ["m", "${out}", 2 * QUICK], "outs": ["big"], "cache": True}})
    project.run()
    _, threads = counted(lambda: project.run())
    assert threads >= 1
    assert project.made() == ["much m"]
    os.truncate(project.folder / "big", QUICK)
    project.run()
    assert project.made() == ["much m"]


def test_results_of_a_run_without_the_cache_are_nobody_elses_though_they_are_the_newest(project):
    project.stages(
        {
            "one": {"call": "work:whole", "with": ["x"], "cache": True},
            "two": {"call": "work:whole", "with": ["y"], "cache": True},
        }
    )
    first = project.run()
    project.run(cache=False)
    third = project.run()
    assert statuses(first) == {"done"}
    assert statuses(third) == {"reused"}
    assert project.made() == ["whole x"] * 2 + ["whole y"] * 2


def test_what_was_kept_before_the_newest_change_is_found_again(project):
    data = project.write("data", "a")
    project.stages({"read": {"call": "work:whole", "with": ["x"], "deps": ["data"], "cache": True}})
    project.run()
    data.write_text("b")
    project.run()
    data.write_text("a")
    assert statuses(project.run()) == {"reused"}
    assert project.made() == ["whole x"] * 2


def test_the_row_of_its_end_tells_how_a_reused_stage_began(project):
    """Three rows of events for each stage of an all reused run are half of what is written."""
    (project.folder / "out").mkdir()
    project.stages(drawing(12))
    project.run()
    heard = []
    again = project.run(on_event=heard.append)
    with closing(sqlite3.connect(project.state / "journal.db")) as connection:
        question = "SELECT kind, count(*) FROM event WHERE run = ? AND stage IS NOT NULL GROUP BY kind"
        assert dict(connection.execute(question, (again.id,))) == {"StageEnded": 12}
    assert list(History(Store(project.state)).events(again.id)) == heard


def test_no_stage_is_asked_for_twice_though_turns_end_in_between(project, monkeypatch):
    """In a run of many turns, some stages are asked for in one and begin in another."""
    (project.folder / "out").mkdir()
    count = 600
    project.stages(drawing(count))
    project.run()
    asked = []
    look = Ahead._look
    monkeypatch.setattr(Ahead, "_look", lambda ahead, names: (asked.extend(names), look(ahead, names))[1])
    assert statuses(project.run()) == {"reused"}
    assert len(asked) == len(set(asked)) == count
