"""What a store tells of its runs, from journals written here by hand."""

from __future__ import annotations

import pickle
import sqlite3
import subprocess
import sys
from contextlib import closing
from time import perf_counter

import pytest

from pipeline_runner import events
from pipeline_runner.axes import Status
from pipeline_runner.calls import Cause, Failure
from pipeline_runner.record.clean import chosen, clean
from pipeline_runner.record.errors import StoreError
from pipeline_runner.record.history import History, Told, UnknownRun
from pipeline_runner.record.journal import Journal
from pipeline_runner.record.locks import Locked
from pipeline_runner.record.owner import owner
from pipeline_runner.record.recipe import Recipe
from pipeline_runner.record.store import Store

FAILURE = Failure(Cause.RAISED, "ValueError", "no")
RECIPE = Recipe({"call": "r"})


@pytest.fixture(autouse=True)
def _own_key(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / ".prun")


@pytest.fixture
def history(store):
    return History(store)


@pytest.fixture
def written(store):
    """Write a run: `written("name", *events)`; what is no event is (stage, first, values) of calls that ended well."""

    def written(run, *told, identity="words.yaml", began=1000.0, stages=("a", "b"), recipe=RECIPE):
        about = {"pipeline": "words", "identity": identity, "file": "words.yaml", "folder": "/p", "given": {}}
        journal = Journal(store, run, about, dict.fromkeys(stages, recipe))
        journal.take(events.RunStarted(run=run, pipeline="words", workers=2, stages=stages, at=began))
        for each in told:
            if isinstance(each, events.Event):
                journal.take(each)
            else:
                stage, first, values = each
                journal.keep(stage, range(first, first + len(values)), None, pickle.dumps(values))
        journal.close()

    return written


def started(stage, calls):
    return events.StageStarted(stage=stage, method="m", calls=calls, at=1001.0)


def failed(stage, index):
    return events.CallFailed(stage=stage, index=index, tries=1, failure=FAILURE, at=1002.0)


def ended(stage, done, status=Status.DONE):
    return events.StageEnded(stage=stage, status=status, took_s=0.5, done=done, at=1003.0)


def over(status=Status.DONE):
    return events.RunEnded(status=status, took_s=2.5, at=1004.0)


def test_a_run_that_ended_is_told_as_it_ended(history, written):
    written("r1", started("a", 3), ("a", 0, [1, 2]), failed("a", 2), ended("a", 2), over(Status.FAILED))
    (told,) = history.runs()
    assert (told.run, told.pipeline, told.status, told.took_s, told.done, told.failed, told.tries) == (
        *("r1", "words", Status.FAILED, 2.5, 2, 1, 1),
    )
    assert told.owes


def test_a_run_without_an_end_whose_runner_is_gone_was_interrupted(history, written):
    written("r1", started("a", 9), ("a", 0, [1, 2, 3]), failed("a", 3))
    told = history.told("r1")
    assert (told.status, told.done, told.failed, told.took_s) == (Status.INTERRUPTED, 3, 1, 2.0)


def test_a_call_that_was_kept_twice_is_counted_once_while_its_stage_has_not_ended(history, written):
    written("r1", started("a", 9), ("a", 0, [1, 2, 3]), ("a", 1, [4]), ("a", 2, [5, 6]), ("a", 7, [7]))
    assert (history.told("r1").done, history.state("r1").stages["a"].done) == (5, 5)


def test_a_run_whose_runner_holds_the_lock_is_at_work(history, written, store):
    written("r1", started("a", 9))
    written("r0", started("a", 9))
    lock = store.lock("words.yaml", "r1")
    assert (history.told("r1").status, history.told("r0").status) == (None, Status.INTERRUPTED)
    assert not history.told("r1").owes
    lock.release()
    assert history.told("r1").status is Status.INTERRUPTED


@pytest.mark.timeout(30)
def test_the_owner_is_seen_from_another_process_and_forgotten_when_it_dies(store, tmp_path):
    hold = (
        "import sys; from pathlib import Path; from pipeline_runner.record.store import Store\n"
        "lock = Store(Path(sys.argv[1])).lock('p', 'r7'); print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", hold, str(store.folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "held\n"
            at_work = owner(store, "p")
            assert (at_work.pid, at_work.run) == (process.pid, "r7")
            with pytest.raises(Locked):  # looking did not let go of it
                store.lock("p", "other")
        finally:
            process.kill()
    assert owner(store, "p") is None


def test_looking_does_not_let_go_of_a_lock_of_this_process(store):
    lock = store.lock("p", "r1")
    assert owner(store, "p").run == "r1"
    taken = subprocess.run(
        [sys.executable, "-c", "import sys; from pathlib import Path; from pipeline_runner.record.store import Store\n"
         "Store(Path(sys.argv[1])).lock('p', 'r3')", str(store.folder)],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert "this pipeline is being run already" in taken.stderr
    lock.release()
    assert owner(store, "p") is None


def test_a_resumed_run_is_told_as_its_last_try_left_it(history, written):
    written("r1", started("a", 4), ("a", 0, [1, 2]), failed("a", 2), ended("a", 2, Status.FAILED), over(Status.FAILED))
    written(
        "r1", started("a", 4), events.CallsReused(stage="a", indices=range(2)), ("a", 2, [3, 4]), ended("a", 4), over()
    )
    told, state = history.told("r1"), history.state("r1")
    assert (told.status, told.done, told.failed, told.tries) == (Status.DONE, 4, 0, 2)
    stage = state.stages["a"]
    assert (stage.calls, stage.done, stage.reused, stage.failed, state.failures) == (4, 4, 2, 0, [])


def test_a_resumed_run_began_when_it_first_did_and_has_what_it_was_given_last(history, written):
    written("r1", identity="old", began=1000.0)
    written("r1", identity="new", began=2000.0)
    told = history.told("r1")
    assert (told.began, told.about["identity"], told.tries) == (1000.0, "new", 2)


def test_the_state_of_a_run_that_was_killed_has_what_its_calls_came_to(history, written):
    written("r1", started("a", 9), ("a", 0, [1, 2]), ("a", 5, [6]), failed("a", 3))
    state = history.state("r1")
    assert (state.status, state.stages["a"].status, state.stages["a"].done, state.stages["a"].failed) == (
        *(Status.INTERRUPTED, None, 3, 1),
    )
    assert not state.stages["b"].started


def test_calls_kept_under_an_older_recipe_are_not_done(history, written):
    written("r1", started("a", 9), ("a", 0, [1, 2, 3]), recipe=Recipe({"call": "o"}))
    written("r1", started("a", 9), ("a", 0, [1]), recipe=RECIPE)
    assert history.told("r1").done == 1


def test_rows_give_no_call_twice(history, written):
    written("r1", started("a", 4), ("a", 0, [1, 2]), ("a", 1, [20, 30]), ("a", 3, [4]))
    values = [v for row in history.rows("r1", "a", as_they_came=False) for v in row.pack.values()]
    assert values == [1, 2, 30, 4]


def test_rows_as_they_came(history, written):
    written("r1", ("a", 2, [3]), ("a", 0, [1, 2]))
    assert [row.first for row in history.rows("r1", "a", as_they_came=True)] == [2, 0]
    assert [row.first for row in history.rows("r1", "a", as_they_came=False)] == [0, 2]


def test_a_row_that_was_touched_is_not_there(history, written, store):
    written("r1", ("a", 0, [1, 2]))
    assert history.row("r1", "a", 1).pack.values() == [1, 2]
    with closing(sqlite3.connect(store.database)) as connection, connection:
        connection.execute("UPDATE done SET data = ?", (pickle.dumps([6, 6]),))
    assert history.row("r1", "a", 1) is None


def test_what_a_failed_call_was_given_is_not_there_when_it_was_touched(history, store, written):
    written("r1")
    journal = Journal(store, "r1", {}, {})
    journal.given("a", 3, b"payload")
    journal.close()
    assert (history.given("r1", "a", 3), history.given("r1", "a", 4)) == (b"payload", None)
    with closing(sqlite3.connect(store.database)) as connection, connection:
        connection.execute("UPDATE given SET data = x'00'")
    assert history.given("r1", "a", 3) is None


def test_a_damaged_event_hides_no_other(history, written, store):
    written("r1", started("a", 2), ("a", 0, [1, 2]), ended("a", 2), over())
    with closing(sqlite3.connect(store.database)) as connection, connection:
        connection.execute("UPDATE event SET body = '{' WHERE kind = 'StageStarted'")
        connection.execute("UPDATE event SET body = '[1' WHERE kind = 'RunStarted'")
    state = history.state("r1")
    assert (state.status, list(state.stages), state.stages["a"].status) == (Status.DONE, ["a", "b"], Status.DONE)


def test_printed_lines_by_run_stage_and_item(history, written):
    said = [("a", 0, "one"), ("a", 1, "two"), ("b", 0, "three"), ("a", 0, "four")]
    written("r1", *(events.Printed(stage=s, index=i, stream="stdout", line=line) for s, i, line in said))
    assert [p.line for p in history.lines("r1")] == ["one", "two", "three", "four"]
    assert [p.line for p in history.lines("r1", "a")] == ["one", "two", "four"]
    assert [p.line for p in history.lines("r1", "a", 0)] == ["one", "four"]


def test_a_run_is_found_by_name_beginning_or_last(history, written):
    for run, began in (
        ("20260101-000000-aaaaaa", 1.0),
        ("20260102-000000-bbbbbb", 3.0),
        ("20260102-111111-cccccc", 2.0),
    ):
        written(run, began=began)
    assert history.find("last") == "20260102-000000-bbbbbb"
    assert history.find("20260101") == "20260101-000000-aaaaaa"
    assert history.find("20260102-111111-cccccc") == "20260102-111111-cccccc"
    with pytest.raises(UnknownRun) as many:
        history.find("20260102")
    assert len(many.value.matching) == 2
    with pytest.raises(UnknownRun) as none:
        history.find("20260102-000000-bbbbba")
    assert 'did you mean "20260102-000000-bbbbbb"?' in str(none.value)


def test_a_folder_without_runs_is_told_and_not_made(tmp_path):
    with pytest.raises(StoreError, match="there is no run here yet"):
        Store(tmp_path / "nothing", create=False)
    assert not (tmp_path / "nothing").exists()


@pytest.mark.timeout(60)
def test_a_million_calls_and_many_lines_are_told_within_a_second(history, store):
    for run in ("r1", "r2"):
        journal = Journal(store, run, {"pipeline": "p", "identity": run}, {"a": RECIPE})
        journal.take(events.RunStarted(run=run, pipeline="p", workers=2, stages=("a",)))
        journal.take(events.StageStarted(stage="a", method="m", calls=1_000_000))
        for first in range(0, 1_000_000, 250):
            journal.keep("a", range(first, first + 250), b"12345678" * 250, b"values")
        for number in range(50_000):
            journal.take(events.Printed(stage="a", index=number, stream="stdout", line="said"))
        journal.close()
    began = perf_counter()
    assert [told.done for told in history.runs()] == [1_000_000, 1_000_000]
    assert history.state("r1").stages["a"].done == 1_000_000
    assert [printed.line for printed in history.lines("r1", "a", 77)] == ["said"]
    assert perf_counter() - began < 1


def _told(run, began, identity="p", status=Status.DONE):
    return Told(run, began, {"identity": identity}, status, 1.0, 1, 0, 1)


NEWEST_FIRST = [_told("d", 4.0), _told("c", 3.0, "q"), _told("b", 2.0), _told("a", 1.0)]


@pytest.mark.parametrize(
    ("asked", "dropped"),
    [
        ({}, []),
        ({"named": ["b"]}, ["b"]),
        ({"keep": 1}, ["b", "a"]),
        ({"keep": 0}, ["d", "c", "b", "a"]),
        ({"older_than": 2.5}, ["b", "a"]),
        ({"keep": 2, "older_than": 2.5}, ["a"]),
        ({"keep": 2, "named": ["c"]}, ["c", "a"]),
    ],
)
def test_which_runs_a_clean_drops(asked, dropped):
    assert [told.run for told in chosen(NEWEST_FIRST, **asked)] == dropped


def test_a_clean_drops_a_run_and_the_values_that_nobody_needs(history, written, store):
    big, other = ["x" * 400_000], ["y" * 400_000]
    written("r1", ("a", 0, big), ("b", 0, other), over())
    written("r2", ("a", 0, big), over())
    (store.folder / "runs" / "r1").mkdir(parents=True)
    done = clean(history, [history.told("r1")])
    assert (done.dropped, done.kept, done.at_work, done.swept) == (("r1",), 1, (), True)
    assert done.freed_bytes > 300_000
    assert history.names() == ["r2"]
    (kept,) = history.rows("r2", "a", as_they_came=False)
    assert kept.pack.values() == big
    assert len(list(store.values.glob("*/*"))) == 1
    assert not (store.folder / "runs" / "r1").exists()
    with closing(sqlite3.connect(store.database)) as connection:
        assert connection.execute("SELECT DISTINCT run FROM event").fetchall() == [("r2",)]


def test_a_clean_leaves_a_run_that_is_at_work_and_its_values(history, written, store):
    written("r1", ("a", 0, ["x" * 400_000]))
    written("r0", ("a", 0, ["y" * 400_000]), over())
    lock = store.lock("words.yaml", "r1")
    done = clean(history, history.runs())
    assert (done.dropped, done.at_work, done.swept) == (("r0",), ("r1",), False)
    assert history.names() == ["r1"]
    assert len(list(store.values.glob("*/*"))) == 2
    lock.release()
    assert clean(history, []).swept
    assert len(list(store.values.glob("*/*"))) == 1


def test_what_a_broken_off_clean_left_is_taken_by_the_next(history, written, store):
    written("r1", started("a", 1), ("a", 0, [1]), over())
    with closing(sqlite3.connect(store.database)) as connection, connection:
        connection.execute("DELETE FROM run")
    assert clean(history, []).kept == 0
    with closing(sqlite3.connect(store.database)) as connection:
        for table in ("event", "done", "given"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def kinds(store):
    with closing(store.connect()) as connection:
        return [kind for (kind,) in connection.execute("SELECT kind FROM event WHERE kind LIKE 'S%' OR kind LIKE 'C%'")]


def test_what_began_and_ended_at_once_is_one_row_and_told_as_it_was(history, store, written):
    told = [started("a", 2), events.CallsReused(stage="a", indices=range(2), at=1002.0), ended("a", 2)]
    written("r1", *told, over())
    assert kinds(store) == ["StageEnded"]
    assert list(history.events("r1"))[1:] == [*told, over()]
    assert history.state("r1").stages["a"].reused == 2


def test_what_happened_in_between_keeps_its_place(history, store, written):
    told = [started("a", 1), failed("a", 0), ended("a", 0, Status.FAILED)]
    written("r1", *told, over(Status.FAILED))
    assert kinds(store) == ["StageStarted", "CallFailed", "StageEnded"]
    assert list(history.events("r1"))[1:-1] == told


def test_that_a_stage_began_is_there_when_its_turn_is(store):
    journal = Journal(store, "r1", {"pipeline": "words"}, {"a": RECIPE, "b": RECIPE})
    journal.take(events.RunStarted(run="r1", pipeline="words", workers=2, stages=("a", "b")))
    journal.take(started("a", 1))
    journal.commit()
    assert kinds(store) == ["StageStarted"]
    journal.take(started("b", 1))
    journal.take(ended("a", 1))
    journal.take(over(Status.INTERRUPTED))
    journal.close()
    assert kinds(store) == ["StageStarted", "StageEnded", "StageStarted"]
    with closing(store.connect()) as connection:
        (last,) = connection.execute("SELECT kind FROM event ORDER BY seq DESC LIMIT 1").fetchone()
    assert last == "RunEnded"


def test_a_row_whose_beginning_is_damaged_is_not_there(history, store, written):
    written("r1", started("a", 1), ended("a", 1), started("b", 1), ended("b", 1), over())
    with closing(store.connect()) as connection:
        connection.execute("""UPDATE event SET body = replace(body, '"method"', '"thod"') WHERE stage = 'a'""")
    assert [type(event).__name__ for event in history.events("r1")] == [
        *("RunStarted", "StageStarted", "StageEnded", "RunEnded")
    ]
