"""`cache: true`: what any run of a state folder has made is not made again, call by call."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from pipeline_runner import Pipeline, Stage
from pipeline_runner.plan.forecast import Action
from pipeline_runner.record.clean import beyond, chosen, clean
from pipeline_runner.record.history import History
from pipeline_runner.record.store import Store

pytestmark = pytest.mark.timeout(120)

WORK = """
from notes import HERE, note

def double(x):
    note("double", x)
    return 2 * x

def plus(x, more=1):
    note("plus", x)
    return x + more

def total(values):
    note("total", *values)
    return sum(values)

def large(x):
    note("large", x)
    return str(x) * 400_000

def picky(x):
    note("picky", x)
    if x == 2 and not (HERE / "cured").exists():
        raise ValueError("two")
    return x

def moody(x):
    import os
    note("moody", x)
    if x == 2 and (HERE / "ill").exists():
        raise ValueError("two")
    return os.urandom(8)

def two(x):
    note("two", x)
    return [x, x + 1]

def told(*given, **more):
    note("told", given, more)

class Odd(list):
    def __reduce__(self):
        return unpickled, (list(self),)

def unpickled(items):
    note("unpickled")
    return items

def odd():
    return Odd([1, 2])

def random(x):
    import os
    note("random", x)
    return os.urandom(8)
"""


@pytest.fixture
def project(made):
    made.module("work", WORK)
    return made


def over(items, function="double", **more):
    return {"call": f"work:{function}", "over": items, "cache": True, **more}


def test_a_second_run_makes_nothing_and_gives_the_same(project):
    project.stages(
        {"a": over([1, 2, 3]), "t": {"call": "work:total", "with": {"values": "${stages.a}"}, "cache": True}}
    )
    first = project.run()
    project.made()

    second = project.run()

    assert project.made() == []
    assert dict(second) == dict(first)
    assert second.id != first.id
    assert second.to_json()["stages"]["a"]["status"] == "reused"
    assert second.status == "done"


def test_only_items_that_are_new_are_made(project):
    project.stages({"a": over([1, 2, 3])})
    project.run()
    project.made()
    project.stages({"a": over([9, 3, 2, 8, 1])})

    result = project.run()

    assert project.made() == ["double 8", "double 9"]
    assert result["a"] == [18, 6, 4, 16, 2]
    assert result.state.stages["a"].reused == 3
    assert result.state.stages["a"].status == "done"


def test_equal_items_are_one_result(project):
    project.stages({"a": over([1])})
    project.run()
    project.made()
    project.stages({"a": over([1, 1, 1])})
    assert project.run()["a"] == [2, 2, 2]
    assert project.made() == []


def test_calls_that_are_told_by_their_number_are_known_by_it(project):
    project.stages({"a": over({"range": 3})})
    project.run()
    project.made()
    project.stages({"a": over({"range": 5})})
    assert project.run()["a"] == [0, 2, 4, 6, 8]
    assert project.made() == ["double 3", "double 4"]


def test_another_pipeline_of_the_same_state_folder_reuses_what_the_first_has_made(project):
    project.stages({"a": over([1, 2, 3])})
    project.run()
    project.made()
    other = project.folder / "other.yaml"
    project.stages({"b": over([2, 3, 4]), "c": over("${stages.b}", "plus")})
    project.file.rename(other)

    result = Pipeline.load(other).run(state=project.state)

    assert project.made() == ["double 4", "plus 4", "plus 6", "plus 8"]
    assert result["c"] == [5, 7, 9]


def test_a_pipeline_made_in_python_reuses_too(project, tmp_path):
    lines = []
    stages = [Stage("a", call=lambda x: x + 1, over=[1, 2], cache=True)]
    for _ in range(2):
        result = Pipeline("p", stages).run(state=tmp_path / "state", on_event=lines.append)
    assert result["a"] == [2, 3]
    assert result.state.stages["a"].status == "reused"


@pytest.mark.parametrize("keep", ["all", ()], ids=["all values", "only results"])
def test_a_cached_stage_in_the_middle_of_a_chain(project, keep):
    """The stage before it is made in every run; what it gives is made again only where its own code has changed."""
    chain = {"a": over([1, 2], cache=False), "b": over("${stages.a}", "plus"), "c": over("${stages.b}", cache=False)}
    project.stages(chain)
    project.run(keep=keep)
    assert len(project.made()) == 6

    result = project.run(keep=keep)

    assert project.made() == ["double 1", "double 2", "double 3", "double 5"]
    assert result.state.stages["b"].status == "reused"
    assert result["c"] == [6, 10]


def test_the_head_of_a_chain_that_is_cached_is_there_when_what_follows_it_is_edited(project):
    project.stages({"a": over([1, 2]), "b": over("${stages.a}", "plus")})
    project.run(keep=())
    project.made()
    project.stages({"a": over([1, 2]), "b": over("${stages.a}", "plus", **{"with": {"more": 5}})})

    result = project.run(keep=())

    assert project.made() == ["plus 2", "plus 4"]
    assert result["b"] == [7, 9]


def test_streams_between_pools_are_reused(project):
    stages = {"a": over({"range": 40}, backend="multiprocessing"), "b": over("${stages.a}", "plus", backend="futures")}
    project.stages(stages)
    project.run()
    project.made()
    project.stages({**stages, "a": over({"range": 44}, backend="multiprocessing")})
    assert project.run()["b"] == [2 * x + 1 for x in range(44)]
    assert len(project.made()) == 8


def test_an_unordered_stage_is_reused(project):
    project.stages({"a": over(list(range(20)), returns="unordered")})
    project.run()
    project.made()
    assert sorted(project.run()["a"]) == [2 * x for x in range(20)]
    assert project.made() == []


def test_items_of_one_value_are_known_when_it_is_there(project):
    project.stages({"one": {"call": "work:two", "with": {"x": 5}, "cache": True}, "each": over("${stages.one}")})
    told = project.forecast()
    assert told["each"].action is Action.RUN  # there is no store yet
    project.run()
    project.made()
    told = project.forecast()
    assert told["one"].action is Action.REUSE
    assert (told["each"].action, told["each"].calls) == (Action.REUSE, 2)
    assert project.run()["each"] == [10, 12]
    assert project.made() == []


@pytest.mark.parametrize(
    ("source", "calls"),
    [
        ("${stages.one}", 2),
        ("${stages.one[1:]}", 1),
        ("${stages.many[0]}", 2),
        ({"batches": "${stages.one}", "size": 2}, 1),
        ({"matrix": {"x": "${stages.one}", "y": [1, 2, 3]}}, 6),
    ],
)
def test_calls_over_a_kept_value_are_counted_before_a_run_and_found_by_it(project, source, calls):
    sources = {
        "one": {"call": "work:two", "with": {"x": 5}, "cache": True},
        "many": over([1, 2], "two"),
    }
    project.stages(sources)
    project.run()
    project.stages({**sources, "each": over(source, "told")})
    project.made()
    told = project.forecast()["each"]
    assert (told.action, told.calls) == (Action.RUN, calls)
    project.run()
    assert len(project.made()) == calls
    told = project.forecast()["each"]
    assert (told.action, told.calls) == (Action.REUSE, calls)


def test_a_value_that_is_of_anybodys_class_is_not_read_before_a_run(project):
    project.stages({"one": {"call": "work:odd", "cache": True}, "each": over("${stages.one}", "told")})
    project.run()
    assert "unpickled" in project.made()
    told = project.forecast()
    assert project.made() == []
    assert told["one"].action is Action.REUSE
    assert told["each"].action is Action.DEFERRED
    assert told["each"].because == ('how many items "one" gives is known only when it has run',)


def test_what_is_not_there_yet_is_named_as_it_is_read(project):
    stages = {
        "one": {"call": "work:two", "with": {"x": 5}, "cache": True},
        "each": over("${stages.one}"),
        "sum": {"call": "work:total", "with": {"values": "${stages.each}"}, "cache": True},
        "rows": over({"matrix": {"x": [1, 2]}}, "told", needs=["sum"], deps=["notes.py"]),
        "pairs": over({"matrix": {"x": [1, 2]}}, "told", **{"with": {"more": "${stages.sum}"}}),
        "lines": over({"lines": "notes.py"}, "told", needs=["sum"]),
        "after": over([1], needs=["sum"]),
    }
    project.stages(stages)
    project.run()
    project.stages({**stages, "one": {**stages["one"], "with": {"x": 6}}})
    told = project.forecast()
    assert {name: told[name].because for name in stages if told[name].action is Action.DEFERRED} == {
        "each": ('how many items "one" gives is known only when it has run',),
        "sum": ('what "each" gives is known only when that has run',),
        "rows": ("the files that it reads may be written by stages before it",),
        "pairs": ('what "sum" gives is known only when that has run',),
        "lines": ("the files that it reads may be written by stages before it",),
        "after": ('what "sum" may write for it is known only when that has run',),
    }


def test_a_condition_over_a_kept_value_is_told_before_a_run_and_any_other_is_deferred(project):
    condition = "${stages.one[0] > 5}"
    stages = {
        "one": {"call": "work:two", "with": {"x": 5}, "cache": True},
        "then": {"call": "work:double", "with": {"x": 1}, "if": condition},
        "after": {"call": "work:double", "with": {"x": 1}, "needs": ["then"]},
        "whatever": {"call": "work:double", "with": {"x": 1}, "needs": ["then"], "if": "always"},
    }
    project.stages(stages)
    told = project.forecast()
    assert (told["then"].action, told["after"].action) == (Action.DEFERRED, Action.DEFERRED)
    assert told["then"].because[0] == "whether it runs is known only when one has ended"
    assert told["after"].because[0] == "it depends on then, which may be skipped"
    assert told["whatever"].action is Action.RUN
    result = project.run()
    assert (result.state.stages["then"].status, result.state.stages["after"].status) == ("skipped", "skipped")
    told = project.forecast()
    assert (told["then"].action, told["after"].action) == (Action.SKIP, Action.SKIP)
    assert told["then"].because == (f"its condition is false: {condition}",)
    assert told["after"].because == ("it depends on then, which is skipped",)
    project.stages({**stages, "then": {**stages["then"], "if": "${stages.one[0] < 6}"}})
    told = project.forecast()
    assert (told["then"].action, told["after"].action) == (Action.RUN, Action.RUN)
    project.stages({**stages, "one": {**stages["one"], "with": {"x": 6}}})
    assert project.forecast()["then"].action is Action.DEFERRED


def test_failed_calls_are_not_cached(project):
    project.stages({"a": over([1, 2, 3], "picky", on_error="skip")})
    assert project.run().status == "partial"
    project.made()
    assert project.run().status == "partial"
    assert project.made() == ["picky 2"]
    (project.folder / "cured").touch()
    assert project.run()["a"] == [1, 2, 3]
    assert project.made() == ["picky 2"]


def test_values_that_are_files_of_their_own_are_reused_and_shared(project):
    project.stages({"a": over([1, 2], "large", chunk=1)})
    project.run()
    files = sorted(path.name for path in (project.state / "values").glob("??/*"))
    result = project.run()
    assert [len(value) for value in result["a"]] == [400_000, 400_000]
    assert sorted(path.name for path in (project.state / "values").glob("??/*")) == files
    assert len(project.made()) == 2


def test_a_value_that_was_touched_is_made_again(project):
    project.stages({"a": over([1, 2], "large", chunk=1)})
    project.run()
    project.made()
    file = next((project.state / "values").glob("??/*"))
    file.write_bytes(file.read_bytes()[:-1] + b"!")

    assert [len(value) for value in project.run()["a"]] == [400_000, 400_000]

    assert len(project.made()) == 1
    project.run()
    assert project.made() == []


def test_a_row_that_was_given_to_another_stage_is_not_believed(project):
    project.stages({"a": over([1]), "b": over([1], "plus")})
    project.run()
    project.made()
    with closing(sqlite3.connect(project.state / "journal.db")) as connection:
        rows = dict(connection.execute("SELECT stage, recipe FROM done"))
        connection.execute("UPDATE done SET recipe = ? WHERE stage = 'a'", (rows["b"],))
        connection.commit()
    result = project.run()
    assert (result["a"], result["b"]) == ([2], [2])
    assert "double 1" in project.made()
    project.run()
    assert project.made() == []


def test_a_stage_that_does_not_say_so_is_made_in_every_run(project):
    project.stages({"a": over([1], cache=False)})
    project.run()
    told = project.forecast()["a"]
    project.run()
    assert project.made() == ["double 1", "double 1"]
    assert told.because == ("it is made in every run: it does not say `cache: true`",)


def test_force_makes_all_anew_and_what_it_makes_is_found_first(project):
    project.stages({"a": over([1, 2], "random")})
    first = project.run()["a"]
    assert project.run()["a"] == first

    second = project.run(force=True)["a"]

    assert second != first
    assert project.run()["a"] == second
    assert len(project.made()) == 4
    told = project.forecast(force=True)["a"]
    assert (told.action, told.because) == (Action.RUN, ("all calls are to be made anew",))


def test_without_the_cache_nothing_is_reused_and_nothing_left(project):
    project.stages({"a": over([1, 2], "random")})
    first = project.run()["a"]

    assert project.run(cache=False)["a"] != first

    assert project.run()["a"] == first
    assert len(project.made()) == 4
    assert project.forecast(cache=False)["a"].because == ("the cache is to be left alone",)


def test_what_parameters_are_called_does_not_keep_results_from_others(project):
    project.stages({"a": over([1, 2], "random")}, params={"uncached": False})
    first = project.run(params={"uncached": True})["a"]
    assert project.run(params={"uncached": True})["a"] == first
    assert len(project.made()) == 2


def test_what_was_made_without_the_cache_can_still_be_resumed(project):
    project.stages({"a": over([1, 2], "random")})
    run = project.run(cache=False)
    assert project.run(resume=run.id, cache=False)["a"] == run["a"]
    assert len(project.made()) == 2


@pytest.mark.parametrize("keys", [{"force": True}, {"cache": False}], ids=str)
def test_what_a_run_was_told_to_make_anew_it_makes_anew_also_when_it_is_resumed(project, keys):
    project.stages({"a": {**over([1, 2, 3], "moody"), "on_error": "finish"}})
    first = project.run()["a"]
    (project.folder / "ill").touch()
    broken = project.run(**keys)
    assert broken.exit_code == 1
    (project.folder / "ill").unlink()
    project.made()

    assert [project.forecast(resume=broken.id)["a"].reused] == [2]
    told = project.run(resume=broken.id)["a"]

    assert project.made() == ["moody 2"]
    assert not set(told) & set(first)
    # Values that were made without the cache are nobody else's, in whatever try.
    assert project.run()["a"] == (told if keys.get("force") else first)


def test_to_resume_and_to_force_contradict_each_other(project):
    project.stages({"a": over([1])})
    run = project.run()
    with pytest.raises(Exception, match="say one of them"):
        project.run(resume=run.id, force=True)


def test_a_run_that_reused_everything_has_its_own_copy_when_the_first_is_cleaned_away(project):
    project.stages({"a": over([1, 2]), "b": over([3], "large")})
    first = project.run()
    second = project.run()
    project.made()
    history = History(Store(project.state, create=False))
    clean(history, chosen(history.runs(), named=[first.id]))
    assert history.names() == [second.id]

    third = project.run()

    assert project.made() == []
    assert third["a"] == [2, 4]
    rows = History(Store(project.state, create=False)).rows(second.id, "a", as_they_came=False)
    assert [value for row in rows for value in row.pack.values()] == [2, 4]


def test_where_nothing_can_be_known_again_the_plan_says_so(project):
    class Odd:
        def __reduce__(self):
            raise TypeError("not to be sent")

    pipeline = Pipeline("p", [Stage("a", call=print, with_=[Odd()], cache=True)])
    told = pipeline.forecast(state=project.state).stages["a"]
    assert told.action is Action.RUN
    assert told.because == ("nothing of it can be known again: an argument in its `with` cannot be pickled",)


def test_a_stage_that_is_given_the_run_is_never_reused(project):
    project.stages({"a": {"call": "work:double", "with": {"x": "${run.id}"}, "cache": True}})
    first, second = project.run(), project.run()
    assert project.made() == sorted([f"double {first.id}", f"double {second.id}"])
    assert second["a"] == 2 * second.id


def test_two_pipelines_that_write_at_once_lose_nothing(project):
    commands = []
    for number in range(3):
        project.stages({"a": over({"range": 200}, chunk=5), "b": over("${stages.a}", "plus", chunk=3)})
        project.file.rename(project.folder / f"p{number}.yaml")
        command = [sys.executable, "-m", "pipeline_runner", f"p{number}.yaml", "-q", "--json"]
        commands.append(subprocess.Popen(command, cwd=project.folder, stdout=subprocess.PIPE, text=True))
    told = [process.communicate(timeout=100)[0] for process in commands]
    assert [process.returncode for process in commands] == [0, 0, 0]
    assert len({text[text.index('"value"') :] for text in told}) == 1
    project.made()
    shutil.copy(project.folder / "p0.yaml", project.folder / "p9.yaml")
    assert Pipeline.load(project.folder / "p9.yaml").run(state=project.state)["b"] == [2 * x + 1 for x in range(200)]
    assert project.made() == []


def test_a_journal_of_the_format_before_grows(project):
    project.stages({"a": over([1, 2])})
    project.run()
    project.made()
    with closing(sqlite3.connect(project.state / "journal.db")) as connection:
        for statement in ("DROP INDEX done_of_recipe", "DROP TABLE out", "DROP TABLE file"):
            connection.execute(statement)
        connection.execute("PRAGMA user_version = 2")
        connection.execute(f"PRAGMA application_id = {0x70720000 + 2}")
        connection.commit()
    assert project.run()["a"] == [2, 4]
    assert project.made() == []


def test_the_oldest_runs_beyond_a_size_are_dropped_and_what_others_share_counts_once(project):
    project.stages({"a": over([1], "large")})
    runs = [project.run().id for _ in range(3)]
    history = History(Store(project.state, create=False))
    newest_first = history.runs()
    assert beyond(history, newest_first, 10**9) == set()
    assert beyond(history, newest_first, 420_000) == set()  # one file of 400 kB, and what happened in three runs
    assert beyond(history, newest_first, 1) == set(runs[:2])

    clean(history, chosen(newest_first, beyond=beyond(history, newest_first, 1)))

    assert history.names() == runs[2:]
    project.made()
    project.run()
    assert project.made() == []
