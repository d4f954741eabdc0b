"""Recipes of functions that exist only in Python, and digests of arguments."""

from __future__ import annotations

import subprocess
import sys
import types

import pytest

from pipeline_runner import Pipeline
from pipeline_runner.record.callables import given_parts
from pipeline_runner.record.digests import digest, digests
from pipeline_runner.record.keys import recipes
from pipeline_runner.record.lineage import of_whole, weight
from pipeline_runner.record.recipe import Recipe, call_key, key_of
from pipeline_runner.spec.pipeline import StageName


def made(text, name="f"):
    """A function as a notebook has it, in a module of its own that no file has."""
    module = types.ModuleType("cell")
    exec(compile(text, "<cell>", "exec"), module.__dict__)
    return getattr(module, name)


def recipe(text, tmp_path):
    return given_parts(made(text), tmp_path)


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


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ("def f(*x):\n    return x\n", "*x", "x"),
        ("def f(x):\n    try:\n        g()\n    except E:\n        return 1\n    else:\n        h()\n", "    else:\n        h", "    h"),
        ("def g(x):\n    return 1\nT = {g}\ndef f(x):\n    return T\n", "return 1", "return 2"),
        ("def g(x):\n    return 1\nT = {'a': [g]}\ndef f(x):\n    return T\n", "return 1", "return 2"),
        ("class M(type):\n    x = 1\nclass C(metaclass=M):\n    pass\ndef f(x):\n    return C.x\n", "x = 1", "x = 2"),
        ("class C:\n    x = property(None, lambda self, x: 1)\ndef f(x):\n    C().x = 1\n", ": 1)", ": 2)"),
        ("class C:\n    def g(self):\n        pass\ndef f(x):\n    return C.g(1)\n", "    def g", "    @classmethod\n    def g"),
        ("class D:\n    def __init__(self, f):\n        self.__wrapped__ = f\n    def __call__(self, x):\n        return 1\n@D\ndef f(x):\n    pass\n", "return 1", "return 2"),
    ],
    ids=["a star", "try and else", "in a set", "in a table", "a metaclass", "a setter", "a class method", "a class that decorates"],
)  # fmt: skip
def test_a_function_is_what_its_code_and_what_it_keeps_say(tmp_path, cell, text, old, new):
    before = given_parts(cell(text), tmp_path)
    assert old in text
    assert given_parts(cell(text), tmp_path) == before is not None
    assert given_parts(cell(text.replace(old, new)), tmp_path) != before


@pytest.mark.parametrize(
    "text",
    ["def f(x):\n    'Old.'\n    return 'a'\n", "class C:\n    'Old.'\n    def g(self):\n        'Old.'\ndef f(x):\n    return C\n"],
    ids=["of a function", "of a class"],
)  # fmt: skip
def test_a_docstring_is_not_in_it(tmp_path, cell, text):
    assert given_parts(cell(text), tmp_path) == given_parts(cell(text.replace("Old", "New")), tmp_path) is not None


def test_where_a_name_may_be_any_what_has_no_file_has_no_recipe(tmp_path, cell):
    assert given_parts(cell("def f(x):\n    return x.eval(1)\n"), tmp_path) is not None
    assert given_parts(cell("def f(x):\n    return eval(x)\n"), tmp_path) is None


def test_a_long_chain_of_functions_has_a_recipe(tmp_path, cell):
    chain = "".join(f"def f{number}(x):\n    return f{number + 1}(x)\n" for number in range(2000))
    last = "def f2000(x):\n    return {}\n"
    told = [given_parts(cell(chain + last.format(end), "f0"), tmp_path) for end in (1, 2)]
    assert None not in told
    assert told[0] != told[1]


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
    code = "from pipeline_runner.record.digests import digest; print(digest({'a', 'b', 'c', ('d', 1)}).hex())"
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


OBJECTS = """
import functools
class Tool:
    def __init__(self, size):
        self.size = size
    def __call__(self, x):
        return x * self.size
    def use(self, x):
        return x + self.size
def base(x, y):
    return x + y
@functools.lru_cache
def cached(x):
    return x - 1
partial = functools.partial(base, y=1)
method = Tool(2).use
callable_ = Tool(3)
def f(x):
    return partial(x), method(x), cached(x)
"""


@pytest.fixture
def cell(monkeypatch):
    """A function of a notebook's cell: of a module that the process has, as `__main__` is."""

    def made(text, name="f"):
        module = types.ModuleType("cell")
        monkeypatch.setitem(sys.modules, "cell", module)
        exec(compile(text, "<cell>", "exec"), module.__dict__)
        return getattr(module, name)

    return made


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("return x + y", "return x - y", "partial"),
        ("y=1", "y=2", "partial"),
        ("x + self.size", "x - self.size", "method"),
        ("Tool(2)", "Tool(4)", "method"),
        ("x * self.size", "x / self.size", "callable_"),
        ("Tool(3)", "Tool(4)", "callable_"),
        ("return x - 1", "return x - 2", "cached"),
        ("return x - 1", "return x - 2", "f"),
    ],
)
def test_a_partial_a_method_and_a_callable_are_the_code_behind_them(tmp_path, cell, old, new, name):
    before = given_parts(cell(OBJECTS, name), tmp_path)
    assert given_parts(cell(OBJECTS, name), tmp_path) == before is not None
    assert given_parts(cell(OBJECTS.replace(old, new), name), tmp_path) != before


def test_digests_of_many_are_those_of_each():
    for values in (["a", "b", "\ud800"], ["a", 1, None], [], [[1], {"a": 2}]):
        assert digests(values) == b"".join(map(digest, values))


def test_the_weight_of_digests_is_the_same_in_any_chunks_and_another_in_any_other_order():
    told = digests([str(number) for number in range(2000)])
    whole = weight(range(7, 2007), told)
    parts = [
        weight(range(7 + at, 7 + min(at + 300, 2000)), told[8 * at : 8 * (at + 300)]) for at in range(0, 2000, 300)
    ]
    scattered = weight([7, *range(9, 2007), 8], told[:8] + told[16:] + told[8:16])
    other = weight(range(7, 2007), told[8:16] + told[:8] + told[16:])
    empty = of_whole(2000, (), 0)
    assert of_whole(2000, (), whole) == of_whole(2000, (), sum(parts)) == of_whole(2000, (), scattered)
    assert (
        len(
            {
                of_whole(2000, (), whole),
                of_whole(2000, (), other),
                of_whole(2000, (), weight(range(8, 2008), told)),
                empty,
            }
        )
        == 4
    )


def test_a_stage_that_is_given_its_run_is_another_in_each_run(tmp_path):
    (tmp_path / "w.py").write_text("def f(x):\n    return x\n")
    text = 'version: 1\nstages:\n  a: {call: "w:f", with: {x: "${run.id}"}}\n  b: {call: "w:f", with: {x: 1}}\n'
    plan = Pipeline.from_text(text, folder=tmp_path).plan()
    one, two = recipes(plan, "one"), recipes(plan, "two")
    assert (one["a"].key == two["a"].key, one["b"].key == two["b"].key) == (False, True)


def test_why_a_stage_has_no_recipe_is_told(tmp_path):
    (tmp_path / "w.py").write_text("def f(x:\n")
    (tmp_path / "v.py").write_text("def f(x):\n    return x\n")
    text = 'version: 1\nstages:\n  a: {call: "w:f", with: {x: 1}}\n  b: {call: "v:f", over: "${stages.a}"}\n'
    known = recipes(Pipeline.from_text(text, folder=tmp_path).plan())
    assert known["a"].unknown == "the source of w:f cannot be read"
    assert known["b"].unknown == 'it reads stage "a", of which nothing can be known again'


def test_what_differs_in_two_recipes_is_told_by_name():
    then = {"python": "3.11", "package numpy": "1.26", "source 0": "aa", "argument top": "1", "salt": "x"}
    now = Recipe(
        {"python": "3.11", "package numpy": "2.0", "source 0": "bb", "argument low": "1"}, (StageName("read"),)
    )
    assert list(map(str, now.changes(then))) == [
        'source "read" has changed',
        "argument low is new",
        "argument top is gone",
        "package numpy 1.26 → 2.0",
        "salt is gone",
    ]
    assert key_of(then) == key_of(dict(reversed(then.items()))) != now.key


def test_calls_of_one_recipe_are_told_by_what_they_are_given_or_by_their_number():
    keys = [call_key(b"r", 0, None), call_key(b"r", 1, None), call_key(b"r", 0, b"12345678"), call_key(b"s", 0, None)]
    assert len(set(keys)) == 4
    assert call_key(b"r", 5, b"12345678") == keys[2]
