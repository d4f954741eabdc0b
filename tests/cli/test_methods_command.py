"""`prun methods` as a user meets it."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.timeout(60)


def prun(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "pipeline_runner", "methods", *arguments], capture_output=True, text=True, check=False
    )


def test_the_three_tables_name_every_method_and_the_articles_word_where_it_differs():
    shown = prun()

    assert shown.returncode == 0
    assert [line[0] for line in shown.stdout.splitlines() if line[:2] in ("1.", "2.", "3.")] == ["1", "2", "3"]
    lines = [line.split() for line in shown.stdout.splitlines() if line.startswith("pathos.ParallelPool.map ")]
    assert lines[0][1] == "async"
    assert lines[0][-1] == "blocking"


def test_an_alias_shows_the_row_it_means():
    shown = prun("pathos.pp.ParallelPythonPool.amap")

    assert shown.stdout.splitlines()[0] == "pathos.ParallelPool.amap"


def test_json_gives_every_row_as_data():
    rows = json.loads(prun("--json").stdout)

    names = {row["name"]: row for row in rows}
    assert names["concurrent.futures.ProcessPoolExecutor.submit"]["surveyed"]["returns"] == "none"
    assert names["multiprocessing.Process"]["offers"] == ["apply_result", "list", "none"]


def test_markdown_gives_three_tables():
    assert prun("--markdown").stdout.count("\n| --- |") == 3


def test_an_unknown_name_says_what_is_near():
    shown = prun("multiprocessing.Pool.starmp")

    assert shown.returncode == 2
    assert shown.stderr.splitlines() == [
        'no method is called "multiprocessing.Pool.starmp"; did you mean "multiprocessing.Pool.starmap"?',
        "  prun methods lists all of them",
    ]


def test_half_a_name_says_which_methods_end_in_it():
    shown = prun("uimap")

    assert shown.returncode == 2
    assert "pathos.ProcessPool.uimap" in shown.stderr
    assert "end in it: multiprocess.pool.Pool.imap, multiprocessing.pool.Pool.imap" in prun("pool.Pool.imap").stderr


def test_measuring_says_what_it_found_and_that_nothing_differs():
    shown = prun("multiprocessing.Process", "--measure", "--json")

    told = json.loads(shown.stdout)
    assert shown.returncode == 0
    assert "[1/1] multiprocessing.Process" in shown.stderr
    assert told["differences"] == []
    assert told["measured"][0]["dispatch"] == "batch"
    assert told["measured"][0]["on_death"] == "exit code"
