"""How an item becomes a call's arguments, in every style, on a real pool."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.timeout(40)

JOIN = {"call": "deeds.py:join"}


@pytest.mark.parametrize(
    ("stage", "calls"),
    [
        ({"with": {"x": 1}}, [[], {"x": 1}]),
        ({"with": [1, 2]}, [[1, 2], {}]),
        ({}, [[], {}]),
        ({"over": [1], "args": "single"}, [[[1], {}]]),
        ({"over": [[1, 2]], "args": "single"}, [[[1, 2], {}]]),
        ({"over": [{"x": 1}], "args": "single"}, [[[], {"x": 1}]]),
        ({"over": [[]], "args": "single"}, [[[], {}]]),
        ({"over": [[1, 2], {"x": 1}], "args": "map"}, [[[[1, 2]], {}], [[{"x": 1}], {}]]),
        ({"over": [[1, 2], {"x": 1}], "backend": "process"}, [[[[1, 2]], {}], [[{"x": 1}], {}]]),
        ({"over": [[1, 2], {"x": 1}], "backend": "ppft"}, [[[[1, 2]], {}], [[{"x": 1}], {}]]),
        *(
            ({"over": [[1, 2], {"x": 1}], "backend": backend, "dispatch": dispatch}, [[[[1, 2]], {}], [[{"x": 1}], {}]])
            for backend, dispatch in [
                ("multiprocessing", "blocking"),
                ("pathos", "blocking"),
                ("parallel", "blocking"),
                ("process", "batch"),
                (None, "batch"),
                (None, "blocking"),
            ]
        ),
        ({"over": [[1, 2], {"x": 1}], "method": "multiprocessing.Process"}, [[[1, 2], {}], [[], {"x": 1}]]),
        ({"over": [[1, 2], {"x": 1}], "args": "star"}, [[[1, 2], {}], [[], {"x": 1}]]),
        ({"over": [[1, 2], [3, 4]], "args": "zip"}, [[[1, 3], {}], [[2, 4], {}]]),
        ({"over": {"x": [1, 2], "y": {"range": 2}}}, [[[], {"x": 1, "y": 0}], [[], {"x": 2, "y": 1}]]),
        ({"over": {"x": [1], "y": [2]}, "dispatch": "blocking"}, [[[], {"x": 1, "y": 2}]]),
        ({"over": {"x": [1]}, "method": "multiprocessing.Pool.apply_async"}, [[[], {"x": 1}]]),
        ({"over": [1], "with": {"k": 9}}, [[[1], {"k": 9}]]),
        ({"over": [[1]], "args": "star", "with": {"k": 9}}, [[[1], {"k": 9}]]),
        ({"over": [[1], [2]], "args": "zip", "with": {"k": 9}}, [[[1, 2], {"k": 9}]]),
        ({"over": [{"x": 1}], "args": "single", "with": {"k": 9}}, [[[], {"k": 9, "x": 1}]]),
        ({"over": ["a", "b"], "with": {"k": "${index}:${item}"}}, [[["a"], {"k": "0:a"}], [["b"], {"k": "1:b"}]]),
        ({"over": [[1, 2]], "args": "star", "with": {"k": "${item[1]}"}}, [[[1, 2], {"k": 2}]]),
        ({"over": [[1], [2]], "args": "zip", "with": {"k": "${item}"}}, [[[1, 2], {"k": [1, 2]}]]),
        ({"over": {"range": [5, 0, -2]}}, [[[5], {}], [[3], {}], [[1], {}]]),
    ],
    ids=str,
)
def test_the_function_is_called_as_the_stage_says(run, stage, calls):
    value = run({"s": JOIN | stage})["s"]
    assert _plain(value) == calls


def _plain(value):
    """Tuples as lists: rows of a zip are tuples in Python, and that is not what is tested."""
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return {key: _plain(inner) for key, inner in value.items()} if isinstance(value, dict) else value


def test_an_item_that_already_has_a_constants_keyword_wins(run):
    assert run({"s": JOIN | {"over": [{"x": 1}], "args": "star", "with": {"x": 0, "y": 0}}})["s"] == [
        [[], {"x": 1, "y": 0}]
    ]


def test_a_row_of_too_many_arguments_is_that_calls_own_failure(run):
    rows = {"call": "deeds.py:same", "over": [[1, 2], [1, 2, 3]]}
    ran = run(
        {"rows": rows, "s": {"call": "deeds.py:add", "over": "${stages.rows}", "args": "star", "on_error": "skip"}}
    )
    assert ran["s"] == [3]
    assert ran.failed() == [("s", 1, "TypeError")]


def test_a_generator_function_gives_the_list_of_what_it_yields(run):
    assert run({"s": {"call": "deeds.py:counting", "over": [0, 2]}})["s"] == [[], [0, 1]]


def test_text_is_one_argument_in_single_style(run):
    assert run({"s": JOIN | {"over": ["abc"], "args": "single"}})["s"] == [[["abc"], {}]]


def test_a_star_row_of_text_is_not_taken_for_letters(run):
    ran = run({"s": JOIN | {"over": [["ab"]], "args": "star"}})
    assert ran["s"] == [[["ab"], {}]]
