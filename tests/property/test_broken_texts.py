"""Whatever is done to a pipeline's text, checking it ends soon, in problems with places, never in an exception."""

from __future__ import annotations

import json
from pathlib import Path
from time import perf_counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline_runner.spec.build import build, check
from pipeline_runner.syntax.reader import plain, read

VALID = """\
version: 1
name: words
params: {folder: texts, top: 10, ratio: 0.5, names: [a, b], deep: {a: {b: [1, 2]}}}
env: {LC_ALL: C.UTF-8, PATHS: "${params.folder}/x"}
workers: 4
limits: {api: 2}
defaults: {retry: {limit: 2, delay: 1s, on: [ValueError, lost]}, env: {A: 1}}
profiles: {big: {defaults: {backend: dask}, workers: 8}}
x-common: &common {timeout: 30s, chunk: auto}

stages:
  read:
    <<: *common
    call: texts:read_file
    over: {glob: "${params.folder}/*.txt"}
    args: map
    dispatch: async
    returns: unordered
  count:
    call: counting.py:count
    over: ${stages.read}
    with: {lower: true, n: "${index} of ${params.top}"}
    needs: [read]
  add: {call: "m:add", over: {a: [1, 2], b: {range: [0, 4, 2]}}, shortest: true}
  rows: {call: "m:f", args: star, over: [[1, 2], {a: 1, b: 2}]}
  numbers: {call: "m:g", over: {generate: "m:numbers", with: {seed: 1}, take: 10}}
  total:
    call: texts:merge
    with: {counts: "${stages.count}", top: "${params.top}"}
    method: multiprocessing.Pool.apply
    description: |
      all of ${params.deep.a.b[1]}
      and $${this}
"""
EXAMPLES = sorted((Path(__file__).parents[1] / "messages").glob("*.yaml"))
PIECES = st.sampled_from(
    [
        "${",
        "}",
        "$${",
        "[",
        "]",
        "{",
        ":",
        ": ",
        "- ",
        "\n",
        "  ",
        "\t",
        "&a ",
        "*a",
        "!x ",
        "<<: ",
        '"',
        "'",
        "|",
        ">",
        "#",
        "?",
    ]
    + [
        "\x00",
        "\ufeff",
        "\u2028",
        "\x85",
        "\ud800",
        "%",
        "@",
        "`",
        ".inf",
        ".nan",
        "1e999",
        "0x",
        "9" * 5000,
        "---\n",
        "...\n",
    ]
    + [
        "null",
        "~",
        "true",
        "1",
        "-1",
        "2.5",
        "${stages.read}",
        "${params.deep}",
        "${item}",
        "${env.HOME}",
        "stages",
        "over",
        "é",
        "𝔘",
    ]
)


@st.composite
def mutants(draw: st.DrawFn) -> str:
    """A valid text with a few pieces cut out, put in, doubled or swapped."""
    text = draw(st.sampled_from([VALID, VALID, *(file.read_text() for file in EXAMPLES)]))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        stop = min(len(text), start + draw(st.integers(0, 12)))
        match draw(st.sampled_from(["cut", "put", "double", "move"])):
            case "cut":
                text = text[:start] + text[stop:]
            case "put":
                text = text[:start] + draw(PIECES) + text[start:]
            case "double":
                text = text[:stop] + text[start:stop] + text[stop:]
            case "move":
                at = draw(st.integers(0, len(text)))
                text = text[:at] + text[start:stop] + text[at:]
    return text


def test_the_text_that_is_broken_below_is_whole():
    assert check(VALID) == []


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutants())
def test_no_mutant_of_a_pipeline_raises_or_hangs(text):
    began = perf_counter()
    problems = check(text)
    if not problems:
        build(text)  # nothing to tell is never a failure without words
    assert perf_counter() - began < 5  # typically a few milliseconds; the bound is for a loaded machine
    for problem in problems:
        assert problem.sentence()
        if problem.mark is not None:
            assert problem.mark.line >= 1
            assert problem.mark.column >= 1
            str(problem)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_no_text_at_all_raises(text):
    check(text)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "{" * 100_000, "- " * 100_000, "a: &a " * 5000, "? " * 50_000, "${" * 50_000]
)
def test_towers_end_soon(text):
    began = perf_counter()
    assert check(text)
    assert perf_counter() - began < 5


# JSON text may hold control characters and lone surrogates, which YAML refuses.
texts = st.text(
    st.characters(exclude_categories=("Cc", "Cf", "Cs", "Cn", "Zl", "Zp")) | st.sampled_from('\n\t\\"'), max_size=8
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(values)
def test_json_reads_back_as_it_was_written(value):
    document = read(json.dumps(value, ensure_ascii=False), "x.json")
    assert document.problems == ()
    assert (None if document.root is None else plain(document.root)) == value
