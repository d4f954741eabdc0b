"""A key is set in a YAML text, and nothing else of it changes, not even by a blank."""

from __future__ import annotations

import pytest

from pipeline_runner.syntax.edit import CannotEdit, with_keys

METHOD = "multiprocessing.Pool.imap"

# What is written, with ⟦…⟧ around what is new; ⟪…⟫ around what it takes the place of.
SHAPES = {
    "a block mapping gets a line after its function": """\
stages:
  a:
    call: w:f
⟦    method: multiprocessing.Pool.imap
⟧    over: [1, 2]
""",
    "comments and blank lines stay where they are": """\
# head

version: 1   # one
stages:
  # of a
  a:   # here

    # what is called
    call: w:f   # a function
⟦    method: multiprocessing.Pool.imap
⟧    # its items

    over: [1, 2]   # two

  # of b
  b: {call: "w:g"}
# foot
""",
    "a function in quotes": """\
stages:
  a:
    call: "w:f"  # x
⟦    method: multiprocessing.Pool.imap
⟧    over: [1]
""",
    "a function on a line of its own": """\
stages:
  a:
    call:
      w:f
⟦    method: multiprocessing.Pool.imap
⟧    over: [1]
""",
    "a function at the end of a file without an end of line": """\
stages:
  a:
    over: [1]
    call: w:f⟦
    method: multiprocessing.Pool.imap⟧""",
    "a method that is there already": """\
stages:
  a:
    over: [1]
    method: ⟪multiprocessing.Pool.map⟫⟦multiprocessing.Pool.imap⟧   # the fastest
    call: w:f
""",
    "a method in quotes keeps its quotes": """\
stages:
  a: {call: "w:f", method: '⟪Pool.map⟫⟦multiprocessing.Pool.imap⟧', over: [1]}
""",
    "a method without a value": """\
stages:
  a:
    call: w:f
    method:⟦ multiprocessing.Pool.imap⟧
""",
    "a flow mapping": """\
stages:
  a: {call: "w:f"⟦, method: multiprocessing.Pool.imap⟧, over: [1, 2]}   # all in one
  b: {call: w:g}
""",
    "a flow mapping of many lines": """\
stages: {
  a: {
    call: w:f⟦, method: multiprocessing.Pool.imap⟧,  # x
    over: [1],
  },
}
""",
    "JSON stays JSON": """\
{"version": 1,
 "stages": {"a": {"call": "w:f"⟦, "method": "multiprocessing.Pool.imap"⟧,
                  "over": [1]}}}
""",
    "a command in block text is followed by nothing": """\
stages:
  a:
⟦    method: multiprocessing.Pool.imap
⟧    run: |
      echo ${item}

    over: [1]
""",
    "a function that a merge brings": """\
x-base: &base {call: "w:f"}
stages:
  a:
⟦    method: multiprocessing.Pool.imap
⟧    <<: *base
    over: [1]
""",
    "a function that is an alias": """\
x-f: &f w:f
stages:
  a:
⟦    method: multiprocessing.Pool.imap
⟧    call: *f
    over: [1]
""",
    "another stage's line that looks the same": """\
stages:
  b:
    call: w:f
    over: [1]
  a:
    call: w:f
⟦    method: multiprocessing.Pool.imap
⟧    over: [1]
""",
    "a deep indentation with a list that has none": """\
stages:
        a:
                call: w:f
⟦                method: multiprocessing.Pool.imap
⟧                over:
                - 1
                - 2
""",
    "letters outside ASCII and a document's beginning": """\
---
name: größe — 数
stages:
  ä: {over: [1]}
  a:
    description: "größe — 数 😀"
    call: w:größe
⟦    method: multiprocessing.Pool.imap
⟧    over: ["😀"]
""",
    "a function given as a key with a question mark": """\
stages:
  ? a
  :
    call: w:f
⟦    method: multiprocessing.Pool.imap
⟧    over: [1]
""",
}


def old_and_new(shape: str) -> tuple[str, str]:
    old, new, skipping = "", "", ""
    for character in shape:
        if character in "⟦⟪":
            skipping = character
        elif character in "⟧⟫":
            skipping = ""
        else:
            old += "" if skipping == "⟦" else character
            new += "" if skipping == "⟪" else character
    return old, new


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("ends", ["\n", "\r\n"], ids=["unix", "dos"])
def test_a_method_is_set_and_nothing_else_changes(shape, ends):
    old, new = (text.replace("\n", ends) for text in old_and_new(shape))
    assert with_keys(old, ["stages", "a"], {"method": METHOD}, after=("call", "run")) == new


def test_several_keys_follow_one_another():
    made = with_keys("stages:\n  a:\n    call: w:f\n", ["stages", "a"], {"method": "M.x", "chunk": 4}, after=("call",))
    assert made == "stages:\n  a:\n    call: w:f\n    method: M.x\n    chunk: 4\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("stages: {b: {call: w:f}}", '"a" is not written in this file'),
        ("x: &x {call: w:f}\nstages: {a: *x}", '"a" is an alias of what is written elsewhere'),
        ("stages: {a: &x {call: w:f}, b: *x}", "it shares lines with something else, as an alias does"),
        ("x: &x Pool.map\nstages: {a: {method: *x}}", 'the value of "method" is not written in one word'),
        ("stages:\n  a:\n    method: >-\n      Pool.map\n", 'the value of "method" is not written in one word'),
        (
            "stages: {a: &x {method: &m Pool.map}, b: {method: *m}}",
            "it shares lines with something else, as an alias does",
        ),
        ("stages: {a: }", '"a" is no mapping of keys'),
        ("stages: {a: [call]}", '"a" is no mapping of keys'),
        ("stages:\n  a:\n    ? call\n    : |\n      w:f\n", '"call" does not begin its line'),
    ],
)
def test_what_cannot_be_set_by_itself_is_refused(text, why):
    with pytest.raises(CannotEdit) as refused:
        with_keys(text, ["stages", "a"], {"method": METHOD}, after=("call",))
    assert refused.value.why == why
