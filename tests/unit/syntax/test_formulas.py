"""Calculations: what they give, what they read, and what is said of those that cannot be read."""

from __future__ import annotations

import pytest

from pipeline_runner.syntax.expressions import Expression, ExpressionError, Reference, Text, parse, references, render

SCOPE = {
    "params": {"n": 3, "mode": "full", "flag": True, "none": None, "list": [3, 1, 2], "items": {"keys": 5}, "f": 1.5},
    "env": {"HOME": "/home/me"},
    "item": "data/a.tar.gz",
    "index": 7,
    "stages": {"read": [1, 2, 3], "my-stage": 4},
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${params.n * 2}", 6),
        ("${params.n-1}", 2),
        ("${index+1}", 8),
        ("${params.n / 2}", 1.5),
        ("${params.n // 2}", 1),
        ("${params.n ** 2}", 9),
        ("${-params.n}", -3),
        ("${params.mode == 'full'}", True),
        ("${params.mode != 'full' or not params.flag}", False),
        ("${params.n > 2 and params.n < 10}", True),
        ("${'a' if params.flag else 'b'}", "a"),
        ("${params.none is none}", True),
        ("${params.none}", None),
        ("${params.list | sort}", [1, 2, 3]),
        ("${params.list | map('string') | join('-')}", "3-1-2"),
        ("${params.list | select('gt', 1)}", [3, 2]),
        ("${params.list | length}", 3),
        ("${params.list[1:]}", [1, 2]),
        ("${params.list[-1] + params['n']}", 5),
        ("${params.items.keys + 1}", 6),  # keys of the user's, before methods of a dict
        ("${{'a': params.n}}", {"a": 3}),
        ("${[params.n, '}']}", [3, "}"]),
        ("${7}", 7),
        ("${'text'}", "text"),
        ("${item | name}", "a.tar.gz"),
        ("${item | stem}", "a.tar"),
        ("${item | suffix}", ".gz"),
        ("${item | parent}", "data"),
        ("${item | stem | stem}", "a"),
        ("${(item | stem).upper()}", "A.TAR"),
        ("${stages.read | sum}", 6),
        ("${stages['my-stage'] * 2}", 8),
        ("${params.missing | default(4)}", 4),
        ("${params.n ~ '-' ~ index}", "3-7"),
        ("${'%' in 'a%'}", True),
        ("out/${item | stem}-${params.n * 2}.txt", "out/a.tar-6.txt"),
        ("${params.flag and 1 == 1} ${params.none or none}", "true null"),
        ("$${params.n * 2}", "${params.n * 2}"),
    ],
)
def test_an_expression_has_the_value_that_jinja_gives_it_and_keeps_its_type(text, value):
    template = parse(text)
    if text == "${params.n-1}":  # which of the two it is, is known when the names of the parameters are
        template = parse("${(params.n)-1}")
    found = render(template, SCOPE)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "column", "width", "said"),
    [
        ("a ${params.n *}", 4, 10, "it cannot be read"),
        ("${parms.n * 2}", 2, 5, 'unknown name "parms"; did you mean "params"?'),
        ("x ${1 + prams.n}", 8, 5, 'unknown name "prams"'),
        ("${item | stm}", 9, 3, 'unknown filter "stm"; did you mean "stem"?'),
        ("${item is strng}", 10, 5, 'unknown test "strng"; did you mean "string"?'),
        ("${item ? 1 : 2}", 7, 1, '"?" has no meaning here'),
        ("${stages.my-stage | length}", 12, 5, 'unknown name "stage"'),
        ("${params.n) + (params.n}", 2, 21, "it cannot be read"),
        ("${}", 2, 1, "empty"),
    ],
)
def test_what_cannot_be_read_is_told_at_its_column(text, column, width, said):
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert said in caught.value.message
    assert (caught.value.column, caught.value.width) == (column, width)


def test_a_name_with_a_dash_in_a_calculation_says_how_it_is_written():
    with pytest.raises(ExpressionError) as caught:
        parse("${stages.my-stage | length}")
    assert caught.value.cure == "for a name with a dash write stages['my-stage']"


@pytest.mark.parametrize(
    "text",
    [
        "${params.nothing}",
        "${params.nothing + 1}",
        "${params.n.__class__}",
        "${params.n.__class__.__mro__[0] ~ ''}",
        "${''.__class__.__base__.__subclasses__()}",
        "${params.list.append(1)}",
        "${'a' * 10000000}",
        "${[1] * 10000000}",
        "${9 ** 99999}",
        "${'%999999999d' % 1}",
        "${range(10000000) | list}",
        "${1 / 0}",
        "${params.n + 'a'}",
        "${params.list.x}",
    ],
)
def test_what_has_no_value_or_is_not_allowed_is_an_error(text):
    with pytest.raises(ExpressionError):
        render(parse(text), SCOPE)


def test_an_expression_knows_what_it_reads():
    template = parse("${stages.read[0].x + params['a'] * item.n | default(index)}")
    assert isinstance(template, Expression)
    assert list(references(template)) == [
        Reference("stages", ("read", 0, "x")),
        Reference("params", ("a",)),
        Reference("item", ("n",)),
        Reference("index"),
    ]


def test_what_is_not_known_yet_waits_and_what_is_known_is_kept():
    half = render(parse("n${params.n * index}"), {"params": {"n": 3}})
    assert isinstance(half, Text)
    assert render(half, {"index": 5}) == "n15"


def test_plain_references_do_not_import_jinja(python):
    code = "import pipeline_runner.syntax.expressions as e, sys; e.parse('${params.a[0]} x ${item}'); print('jinja2' in sys.modules)"
    assert python("-c", code).stdout == "False\n"
