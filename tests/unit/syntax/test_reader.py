from __future__ import annotations

import math

import pytest

from pipeline_runner.syntax.reader import _NOT_ALLOWED, MOST_DEPTH, MapNode, Scalar, decode, plain, read


def value(text):
    document = read(text, "p.yaml")
    assert document.problems == ()
    return plain(document.root)


def codes(text):
    return [problem.code for problem in read(text, "p.yaml").problems]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("0755", "0755"),
        ("22:22", "22:22"),
        ("2001-01-01", "2001-01-01"),
        ("1_000", "1_000"),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("null", None),
        ("'null'", "null"),
        ("12", 12),
        ("-12", -12),
        ("0", 0),
        ("0o17", 15),
        ("0x1F", 31),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("+1", 1),
        ("1.2.3", "1.2.3"),
        (".", "."),
        ("-", None),
        (".inf", math.inf),
        ("-.INF", -math.inf),
    ],
)
def test_a_plain_scalar_is_what_yaml_1_2_says(written, meant):
    assert value(f"key: {written}")["key"] == meant if written != "-" else value("- ") == [None]


def test_not_a_number_is_read_as_such():
    assert math.isnan(value("key: .nan")["key"])


def test_a_mark_covers_the_value_and_holds_its_line():
    root = read("a:\n  b: [1, two]  # why\n", "p.yaml").root
    node = root.get("a").get("b")
    assert str(node.mark) == "p.yaml:2:6"
    assert node.mark.width == len("[1, two]")
    assert node.items[1].mark.column == 10
    assert node.mark.text == "  b: [1, two]  # why"
    assert root.get("a").entries["b"].key.mark.column == 3


def test_a_value_that_is_not_written_is_marked_at_its_key():
    assert str(read("a: 1\nbig:\nc: 2\n", "p.yaml").root.get("big").mark) == "p.yaml:2:1"


@pytest.mark.parametrize(
    "text",
    [
        "a: hello ${x} end\n",
        'a: "hello ${x} end"\n',
        "a: 'hello ${x} end'\n",
        "a: |\n  first\n  hello ${x} end\n",
        "a: >\n  first\n  hello ${x} end\n",
    ],
)
def test_a_place_inside_a_scalar_is_found_however_it_is_written(text):
    node = read(text, "p.yaml").root.get("a")
    mark = node.inside(node.value.index("${x}"), 4)
    assert mark.text[mark.column - 1 :][:4] == "${x}"


def test_the_second_of_two_equal_places_is_found():
    node = read("a: ${x} and ${x}", "p.yaml").root.get("a")
    assert node.inside(node.value.rindex("${x}"), 4).column == 13


def test_a_byte_order_mark_is_no_part_of_the_text():
    assert value("\ufeffa: 1") == {"a": 1}


def test_carriage_returns_and_unicode_line_ends_keep_lines_right():
    assert str(read("a: 1\r\nb: 2\rc: !x 3\n", "p.yaml").problems[0].mark) == "p.yaml:3:4"


def test_duplicate_keys_name_both_lines():
    (problem,) = read("a: 1\nb: 2\na: 3\n", "p.yaml").problems
    assert problem.first_line == 1
    assert problem.mark.line == 3


def test_several_problems_are_told_at_once():
    assert codes("a: !x 1\na: 2\nb: *c\n") == ["tag-refused", "duplicate-key", "unknown-anchor"]


def test_problems_before_a_syntax_error_are_told_with_it():
    assert codes("a: 1\na: 2\nb: [\n") == ["duplicate-key", "not-yaml"]


def test_aliases_and_merges_are_read():
    text = "x: &x {a: 1, b: 2}\ny: &y {c: 3}\nz:\n  <<: [*x, *y]\n  b: 4\nw: *x\n"
    assert value(text)["z"] == {"b": 4, "a": 1, "c": 3}
    assert value(text)["w"] == {"a": 1, "b": 2}


def test_a_quoted_merge_key_is_a_key():
    assert value('"<<": 1') == {"<<": 1}


def test_an_anchor_may_be_given_again():
    assert value("a: &x 1\nb: &x 2\nc: *x\n")["c"] == 2


def test_aliases_count_as_often_as_they_stand():
    bomb = "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True):
        bomb += f"{new}: &{new} [{','.join([f'*{old}'] * 10)}]\n"
    assert codes(bomb) == ["too-large"]


def test_a_merge_bomb_is_refused_before_it_grows():
    bomb = "a: &a {k: 1}\n"
    for old, new in zip("abcdefghijklmnopqrst", "bcdefghijklmnopqrstu", strict=True):
        bomb += f"{new}: &{new}\n  <<: [{', '.join([f'*{old}'] * 9)}]\n"
    assert codes(bomb) == ["too-large"]


def test_depth_is_counted_through_aliases():
    half = MOST_DEPTH // 2 + 1
    deep = f"a: &a {'[' * half}{']' * half}\nb: {'[' * half}*a{']' * half}\n"
    assert codes(deep) == ["too-deep"]
    assert codes("[" * MOST_DEPTH + "]" * MOST_DEPTH) == []


def test_a_very_long_number_is_refused_quickly():
    assert codes("a: " + "9" * 1_000_000) == ["bad-number"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: \x00", "bad-character"),
        ("a: \ud800", "bad-character"),
        ("a: 1\n---\nb: 2\n", "second-document"),
        ("a: &a [*a]", "recursive-anchor"),
        ("? [a]\n: b", "bad-key"),
        ("a: 1e999", "bad-number"),
        ("a: 'b", "not-yaml"),
        ("\ta: b", "not-yaml"),
        ("a: @b", "not-yaml"),
        ("a: *", "not-yaml"),
        ('a: "\\q"', "not-yaml"),
        ('a: "\\0"', "bad-character"),
        ("%YAML 3.0\n---\na: 1", "not-yaml"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(text, code):
    (problem,) = read(text, "p.yaml").problems
    assert problem.code == code
    assert problem.mark is not None


def test_half_a_character_is_refused_by_either_parser():
    assert codes('a: "\\ud800"') in (["not-yaml"], ["bad-character"])


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n", "null\n"])
def test_nothing_is_read_from_nothing(text):
    document = read(text, "p.yaml")
    assert document.root is None
    assert document.problems == ()


def test_bytes_that_are_no_utf_8_are_told_with_their_place():
    problem = decode("a: 1\nbé: ".encode() + b"\xff\n", "p.yaml")
    assert str(problem.mark) == "p.yaml:2:5"
    assert problem.byte == 0xFF
    assert decode("é".encode(), "p.yaml") == "é"


def test_json_is_yaml():
    assert value('{"a": [1, 2.5, true, null, "x"]}') == {"a": [1, 2.5, True, None, "x"]}


def test_nodes_are_values():
    assert isinstance(read("a: 1", "p.yaml").root, MapNode)
    assert read("1", "p.yaml").root == Scalar(1, read("1", "p.yaml").root.mark, plain=True)


def test_the_characters_that_yaml_leaves_out_are_those_that_no_text_may_hold():
    """YAML 1.2 §5.1, c-printable, without the byte order mark, which we allow at the beginning only."""
    printable = {*"\t\n\r\x85", *map(chr, (*range(0x20, 0x7F), *range(0xA0, 0xD800), *range(0xE000, 0xFFFE)))} - {
        "\ufeff"
    }
    for code in range(0x110000):
        allowed = chr(code) in printable or code >= 0x10000
        assert (_NOT_ALLOWED.match(chr(code)) is None) == allowed, hex(code)
