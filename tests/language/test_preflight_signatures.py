"""What a call is held against: Python itself decides which calls of a function it takes, and we must say the same."""

from __future__ import annotations

import ast
import inspect
from inspect import Parameter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_runner.plan.preflight.signatures import (
    Missing,
    OnlyByPosition,
    Shape,
    TooMany,
    Twice,
    UnknownKeyword,
    from_list,
    from_tree,
    misfits,
    told,
)


def function(text):
    return ast.parse(text).body[0]


def found(text, positions=(), keywords=(), whole=True):
    shape = Shape(tuple(positions), {name: ("with", name) for name in keywords}, whole)
    return list(misfits(from_tree(function(text)), shape))


CASES = [
    ("def f(a): 0", ("item",), (), []),
    ("def f(a): 0", (), (), [Missing(("a",))]),
    ("def f(a): 0", (), ("a",), []),
    ("def f(a): 0", ("item",), ("a",), [Twice("a", "item")]),
    ("def f(a): 0", ("item", "more"), (), [TooMany(1)]),
    ("def f(a): 0", ("item",), ("b",), [UnknownKeyword("b", ())]),
    ("def f(lower): 0", (), ("lowr",), [UnknownKeyword("lowr", ("lower",))]),
    ("def f(a, b=1): 0", ("item",), (), []),
    ("def f(a, *, b): 0", ("item",), (), [Missing(("b",))]),
    ("def f(a, *, b): 0", ("item",), ("b",), []),
    ("def f(a, /): 0", (), ("a",), [OnlyByPosition("a")]),
    ("def f(a, /, **more): 0", ("item",), ("a",), []),
    ("def f(*args): 0", ("x", "y", "z"), (), []),
    ("def f(*args): 0", (), ("a",), [UnknownKeyword("a", ())]),
    ("def f(**more): 0", (), ("a", "b"), []),
    ("def f(): 0", ("item",), (), [TooMany(0)]),
    ("def f(a, b): 0", (), (), [Missing(("a", "b"))]),
    ("async def f(a): 0", ("item",), (), []),
]


@pytest.mark.parametrize(("text", "positions", "keywords", "wanted"), CASES)
def test_what_does_not_fit_is_named(text, positions, keywords, wanted):
    assert found(text, positions, keywords) == wanted


def test_of_arguments_that_are_not_known_yet_none_is_missed():
    assert found("def f(a, b): 0", whole=False) == []
    assert found("def f(a, b): 0", keywords=["c"], whole=False) == [UnknownKeyword("c", ("a", "b"))]


NAMES = st.sampled_from(["a", "b", "c", "d"])


@st.composite
def definitions(draw):
    """`def f(…)` in every shape that Python has."""
    names = draw(st.lists(NAMES, unique=True))
    cuts = sorted([draw(st.integers(0, len(names))), draw(st.integers(0, len(names)))])
    only, both, by_name = names[: cuts[0]], names[cuts[0] : cuts[1]], names[cuts[1] :]
    first_default = draw(st.integers(0, len(only) + len(both)))
    written = [name + ("=0" if at >= first_default else "") for at, name in enumerate((*only, *both))]
    parts = [*written[: len(only)], *(["/"] if only else []), *written[len(only) :]]
    many = draw(st.sampled_from(["", "*rest"]))
    parts += [many] if many else ["*"] if by_name else []
    parts += [name + draw(st.sampled_from(["", "=0"])) for name in by_name]
    parts += draw(st.sampled_from([[], ["**more"]]))
    return f"def f({', '.join(parts)}): return 1"


@settings(max_examples=500, deadline=None)
@given(definitions(), st.integers(0, 4), st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), unique=True))
def test_we_refuse_exactly_the_calls_that_python_refuses(text, positions, keywords):
    scope = {}
    exec(text, scope)
    try:
        scope["f"](*range(positions), **dict.fromkeys(keywords))
    except TypeError as error:
        refused = str(error)
    else:
        refused = ""
    said = found(text, [str(n) for n in range(positions)], keywords)
    assert bool(said) == bool(refused), (text, refused, said)


@settings(max_examples=200, deadline=None)
@given(definitions())
def test_a_signature_read_is_the_signature_that_python_has(text):
    scope = {}
    exec(text, scope)
    live = inspect.signature(scope["f"]).parameters.values()
    shape = [(p.name, p.kind, p.default is Parameter.empty) for p in live]
    read = from_tree(function(text))
    assert [(p.name, p.kind, p.required) for p in read.values()] == shape
    assert from_list([(name, int(kind), required) for name, kind, required in shape]) == read


def test_a_definition_is_told_without_its_annotations():
    text = "def count(text: str, /, *more: int, lower: bool = False, **rest: object) -> dict[str, int]: ..."
    assert told("count", function(text)) == "def count(text, /, *more, lower=False, **rest)"
    assert told("later", function("async def later(a): ...")) == "async def later(a)"
