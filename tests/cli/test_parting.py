"""A run that has only run our own code ends at once; one in which others had a say ends as Python ends."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.timeout(60)

# What has to be told at any end, and what only those who take everything apart tell.
SCRIPT = """
import atexit, os, sys

class Whole:
    def __del__(self, write=os.write):
        write(2, b"taken apart\\n")

kept = Whole()
atexit.register(sys.stderr.write, "exit handler\\n")
sys.argv = ["prun", *sys.argv[1:]]
from pipeline_runner.__main__ import command
"""
DEEDS = """
def twice(x):
    return 2 * x

def leave_open(path):
    global file
    file = open(path, "w")
    file.write("all of it")

class Value:
    pass

def value():
    return Value()

def numbers():
    yield from range(3)
"""


@pytest.fixture
def end(python, tmp_path):
    """Run a stage, and give how the runner came to its end."""
    (tmp_path / "deeds.py").write_text(DEEDS)

    def run(stage, *words, then="command()"):
        (tmp_path / "pipeline.yaml").write_text(f"version: 1\nstages:\n  one: {{{stage}}}\n")
        done = python("-c", SCRIPT + then, "pipeline.yaml", *words)
        assert "exit handler\n" in done.stderr
        return done, "taken apart\n" in done.stderr

    return run


def test_a_run_whose_calls_are_elsewhere_ends_at_once_with_its_results_and_its_code(end):
    done, taken_apart = end("call: 'deeds:twice', with: [4]")
    assert (done.returncode, done.stdout, taken_apart) == (0, "one: 8\n", False)
    again, taken_apart = end("call: 'deeds:twice', with: [4]", "--json")
    assert (again.returncode, '"value": 8' in again.stdout, taken_apart) == (0, True, False)


def test_a_failed_run_ends_at_once_with_its_code(end):
    done, taken_apart = end("call: 'deeds:twice'")
    assert (done.returncode != 0, taken_apart) == (True, False)


def test_what_a_call_in_the_runner_has_left_open_is_written(end, tmp_path):
    done, taken_apart = end("call: 'deeds:leave_open', with: [left.txt], backend: serial")
    assert (done.returncode, taken_apart) == (0, True)
    assert (tmp_path / "left.txt").read_text() == "all of it"


@pytest.mark.parametrize(
    "stage",
    [
        "call: 'math:sqrt', with: [4], backend: threads",
        "call: 'deeds:twice', over: {generate: 'deeds:numbers'}",
        "call: 'deeds:value'",  # its class is imported to show it
    ],
)
def test_where_others_code_has_run_everything_is_taken_apart(end, stage):
    done, taken_apart = end(stage)
    assert (done.returncode, taken_apart) == (0, True), done.stderr


def test_who_waits_for_the_end_is_not_passed_over(end):
    done, taken_apart = end(
        "call: 'deeds:twice', with: [4]", then="import cProfile\ncProfile.run('command()', sort='tottime')"
    )
    assert (taken_apart, "function calls" in done.stdout) == (True, True)
