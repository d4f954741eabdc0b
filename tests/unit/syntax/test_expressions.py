from __future__ import annotations

import pytest

from pipeline_runner.syntax.expressions import ExpressionError, Reference, Text, parse, references, render


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("plain", "plain"),
        ("", ""),
        ("$${literal}", "${literal}"),
        ("${params.x}", Reference("params", ("x",))),
        ("${ params.x }", Reference("params", ("x",))),
        ("${item[0].name}", Reference("item", (0, "name"))),
        ("${item[-1]}", Reference("item", (-1,))),
        ("${item['a b']}", Reference("item", ("a b",))),
        ("${item['}']}", Reference("item", ("}",))),
        ("${params.a-b}", Reference("params", ("a-b",))),
        ("a ${index}!", Text(("a ", Reference("index"), "!"))),
        ("${item}${index}", Text((Reference("item"), Reference("index")))),
        ("$${a} ${item}", Text(("${a} ", Reference("item")))),
    ],
)
def test_a_scalar_is_text_a_reference_or_both(text, meant):
    assert parse(text) == meant


@pytest.mark.parametrize(
    ("text", "column", "width"),
    [
        ("ab ${x", 3, 3),
        ("${}", 2, 1),
        ("${ 7 + }", 3, 3),
        ("${parms.x}", 2, 5),
        ("a ${params.x y}", 4, 10),
    ],
)
def test_an_error_knows_its_columns(text, column, width):
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert (caught.value.column, caught.value.width) == (column, width)


def test_a_long_row_of_brackets_is_read_in_no_time():
    with pytest.raises(ExpressionError):
        parse("${item" + "['a']" * 5000)


def test_a_reference_knows_where_it_stands():
    (first, second) = references(parse("a ${item} b ${index}"))
    assert (first.start, first.stop) == (2, 9)
    assert (second.start, second.stop) == (12, 20)


def test_a_whole_reference_keeps_the_type_and_text_makes_text():
    scope = {"params": {"n": 3, "flag": True, "none": None}}
    assert render(parse("${params.n}"), scope) == 3
    assert render(parse("${params.n} ${params.flag} ${params.none}"), scope) == "3 true null"


def test_what_is_not_in_scope_stays():
    assert render(parse("${params.n}/${item}"), {"params": {"n": 3}}) == Text(("3/", Reference("item")))


def test_a_path_leads_through_keys_indexes_and_attributes():
    assert render(parse("${item.a[1].real}"), {"item": {"a": [1, 2]}}) == 2


@pytest.mark.parametrize(
    "text", ["${item.b}", "${item.a[7]}", "${item.a.append}", "${item.__class__}", "${item.a[0].x}"]
)
def test_a_path_that_leads_nowhere_says_so(text):
    with pytest.raises(ExpressionError, match="leads nowhere"):
        render(parse(text), {"item": {"a": [1, 2]}})
