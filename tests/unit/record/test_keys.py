"""Recipes of functions that exist only in Python, and digests of arguments."""

from __future__ import annotations

import subprocess
import sys
import types

import pytest

from pipeline_runner.record.keys import _given, digest


def made(text, name="f"):
    """A function as a notebook has it, in a module of its own that no file has."""
    module = types.ModuleType("cell")
    exec(compile(text, "<cell>", "exec"), module.__dict__)
    return getattr(module, name)


def recipe(text, tmp_path):
    return _given(made(text), tmp_path)


CELL = """
import math
STEP = 1
class Tool:
    size = 2
    def use(self, x):
        return x * self.size
def helper(x):
    return x + STEP
def closing(n):
    inner = lambda x: x * n
    return lambda x: inner(helper(x)) + math.floor(x) + Tool().use(x)
f = closing(3)
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("x + STEP", "x - STEP"),
        ("STEP = 1", "STEP = 2"),
        ("closing(3)", "closing(4)"),
        ("x * n", "x + n"),
        ("size = 2", "size = 3"),
        ("x * self.size", "x + self.size"),
        ("inner(helper(x))", "helper(inner(x))"),
    ],
)
def test_a_closure_is_all_that_it_uses(tmp_path, old, new):
    assert recipe(CELL.replace(old, new), tmp_path) != recipe(CELL, tmp_path) is not None


def test_a_closure_is_not_where_it_stands(tmp_path):
    assert recipe("\n\n# moved\n" + CELL, tmp_path) == recipe(CELL, tmp_path) is not None


def test_a_function_that_calls_itself_has_a_recipe(tmp_path):
    assert recipe("def f(x):\n    return f(x - 1) if x else 0\n", tmp_path) is not None


def test_what_cannot_be_described_has_no_recipe(tmp_path):
    assert recipe("import threading\nlock = threading.Lock()\ndef f(x):\n    return lock\n", tmp_path) is None


def test_arguments_that_differ_have_different_digests_and_equal_ones_the_same():
    values = [0, 0.0, False, None, "", b"", [], (), {}, set(), "0", -0.0, [0], [False], {"a": 1}, {1}, "\ud800"]
    assert len({digest(value) for value in values}) == len(values)
    assert digest(["ab" * 5, "ab" * 5]) == digest(["ab" * 5, "".join(["ab"] * 5)])


def test_a_set_has_one_digest_in_every_process(repository):
    code = "from pipeline_runner.record.keys import digest; print(digest({'a', 'b', 'c', ('d', 1)}).hex())"
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(repository)},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(told) == 1
