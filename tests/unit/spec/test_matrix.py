"""The expansion of a matrix, held against the examples of GitHub's manual, of Actions' own builder and of act.

- github: `github/docs`, data/reusables/actions/jobs/NAME.md
- builder: the comments of `actions/runner`, src/Sdk/WorkflowParser/Conversion/MatrixBuilder.cs
- act: `nektos/act`, pkg/runner/testdata/NAME/push.yml, and pkg/model/workflow_test.go
- forgejo: its fork of act, act/model/workflow_test.go
- nextflow: `nextflow-io/nextflow`, modules/nextflow/src/test/groovy/nextflow/extension/CombineOpTest.groovy, which looks at
  what there is, in whatever order
"""

from __future__ import annotations

from itertools import islice, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_runner.spec.matrix import combinations, fits

ARCH_OS = {"arch": ["x64", "x86"], "os": ["linux", "windows"]}
CROSS = [{"arch": arch, "os": os} for arch in ("x64", "x86") for os in ("linux", "windows")]

# The peer's case → (axes, include, exclude, the rows in their order)
PEERS = {
    "github single-dimension-matrix": (
        {"version": [10, 12, 14]},
        [],
        [],
        [{"version": 10}, {"version": 12}, {"version": 14}],
    ),
    "github using-matrix-strategy": (
        {"version": [10, 12, 14], "os": ["ubuntu-latest", "windows-latest"]},
        [],
        [],
        [
            {"version": 10, "os": "ubuntu-latest"},
            {"version": 10, "os": "windows-latest"},
            {"version": 12, "os": "ubuntu-latest"},
            {"version": 12, "os": "windows-latest"},
            {"version": 14, "os": "ubuntu-latest"},
            {"version": 14, "os": "windows-latest"},
        ],
    ),
    "github multi-dimension-matrix": (
        {"os": ["ubuntu-22.04", "ubuntu-20.04"], "version": [10, 12, 14]},
        [],
        [],
        [{"os": os, "version": version} for os in ("ubuntu-22.04", "ubuntu-20.04") for version in (10, 12, 14)],
    ),
    "github multi-dimension-matrix, of objects": (
        {
            "os": ["ubuntu-latest", "macos-latest"],
            "node": [{"version": 14}, {"version": 20, "env": "NODE_OPTIONS=--openssl-legacy-provider"}],
        },
        [],
        [],
        [
            {"os": "ubuntu-latest", "node": {"version": 14}},
            {"os": "ubuntu-latest", "node": {"version": 20, "env": "NODE_OPTIONS=--openssl-legacy-provider"}},
            {"os": "macos-latest", "node": {"version": 14}},
            {"os": "macos-latest", "node": {"version": 20, "env": "NODE_OPTIONS=--openssl-legacy-provider"}},
        ],
    ),
    "github matrix-include": (
        {"fruit": ["apple", "pear"], "animal": ["cat", "dog"]},
        [
            {"color": "green"},
            {"color": "pink", "animal": "cat"},
            {"fruit": "apple", "shape": "circle"},
            {"fruit": "banana"},
            {"fruit": "banana", "animal": "cat"},
        ],
        [],
        [
            {"fruit": "apple", "animal": "cat", "color": "pink", "shape": "circle"},
            {"fruit": "apple", "animal": "dog", "color": "green", "shape": "circle"},
            {"fruit": "pear", "animal": "cat", "color": "pink"},
            {"fruit": "pear", "animal": "dog", "color": "green"},
            {"fruit": "banana"},
            {"fruit": "banana", "animal": "cat"},
        ],
    ),
    "github matrix-include, perl": (
        {"os": ["ubuntu-latest"], "perl": ["5.16", "5.20", "5.26", "5.30", "latest"]},
        [{"os": "macos-latest", "perl": "5.26"}, {"os": "macos-latest", "perl": "latest"}],
        [],
        [
            *({"os": "ubuntu-latest", "perl": perl} for perl in ("5.16", "5.20", "5.26", "5.30", "latest")),
            {"os": "macos-latest", "perl": "5.26"},
            {"os": "macos-latest", "perl": "latest"},
        ],
    ),
    "github matrix-expand-with-include": (
        {"os": ["windows-latest", "ubuntu-latest"], "node": [12, 14, 16]},
        [{"os": "windows-latest", "node": 16, "npm": 6}],
        [],
        [
            {"os": "windows-latest", "node": 12},
            {"os": "windows-latest", "node": 14},
            {"os": "windows-latest", "node": 16, "npm": 6},
            {"os": "ubuntu-latest", "node": 12},
            {"os": "ubuntu-latest", "node": 14},
            {"os": "ubuntu-latest", "node": 16},
        ],
    ),
    "github matrix-add-with-include": (
        {"os": ["macos-latest", "windows-latest", "ubuntu-latest"], "version": [12, 14, 16]},
        [{"os": "windows-latest", "version": 17}],
        [],
        [
            *(
                {"os": os, "version": version}
                for os in ("macos-latest", "windows-latest", "ubuntu-latest")
                for version in (12, 14, 16)
            ),
            {"os": "windows-latest", "version": 17},
        ],
    ),
    "github matrix-add-with-include, alone": (
        {},
        [{"site": "production", "datacenter": "site-a"}, {"site": "staging", "datacenter": "site-b"}],
        [],
        [{"site": "production", "datacenter": "site-a"}, {"site": "staging", "datacenter": "site-b"}],
    ),
    "github section-using-a-build-matrix-for-your-jobs-failfast": (
        {"version": [6, 7, 8], "experimental": [False]},
        [{"version": 9, "experimental": True}],
        [],
        [*({"version": version, "experimental": False} for version in (6, 7, 8)), {"version": 9, "experimental": True}],
    ),
    "github matrix-exclude": (
        {
            "os": ["macos-latest", "windows-latest"],
            "version": [12, 14, 16],
            "environment": ["staging", "production"],
        },
        [],
        [
            {"os": "macos-latest", "version": 12, "environment": "production"},
            {"os": "windows-latest", "version": 16},
        ],
        [
            {"os": "macos-latest", "version": 12, "environment": "staging"},
            {"os": "macos-latest", "version": 14, "environment": "staging"},
            {"os": "macos-latest", "version": 14, "environment": "production"},
            {"os": "macos-latest", "version": 16, "environment": "staging"},
            {"os": "macos-latest", "version": 16, "environment": "production"},
            {"os": "windows-latest", "version": 12, "environment": "staging"},
            {"os": "windows-latest", "version": 12, "environment": "production"},
            {"os": "windows-latest", "version": 14, "environment": "staging"},
            {"os": "windows-latest", "version": 14, "environment": "production"},
        ],
    ),
    "builder Build, example 1: cross product": (ARCH_OS, [], [], CROSS),
    "builder Build, example 2: exclude filter": (ARCH_OS, [], [{"arch": "x86", "os": "linux"}], CROSS[:2] + CROSS[3:]),
    "builder Build, example 3: include filter": (
        ARCH_OS,
        [{"arch": "x64", "os": "linux", "publish": True}],
        [],
        [{**CROSS[0], "publish": True}, *CROSS[1:]],
    ),
    # The comment has a dash before each of the two keys, but its rows are those of one entry.
    "builder Build, example 4: include vector": (
        ARCH_OS,
        [{"arch": "x64", "os": "macos"}],
        [],
        [*CROSS, {"arch": "x64", "os": "macos"}],
    ),
    "builder Build, example 4 as it is written": (
        ARCH_OS,
        [{"arch": "x64"}, {"os": "macos"}],
        [],
        [*CROSS, {"os": "macos"}],
    ),
    "builder MatrixInclude.Match": (
        {"arch": ["x64", "x86"], "config": ["release", "debug"]},
        [{"arch": "x64", "config": "release", "publish": True}],
        [],
        [
            {"arch": "x64", "config": "release", "publish": True},
            {"arch": "x64", "config": "debug"},
            {"arch": "x86", "config": "release"},
            {"arch": "x86", "config": "debug"},
        ],
    ),
    "builder MatrixInclude.GetUnmatchedVectors": (
        {"arch": ["x64", "x86"], "config": ["release", "debug"]},
        [{"arch": "arm64", "config": "debug"}],
        [],
        [
            *({"arch": arch, "config": config} for arch in ("x64", "x86") for config in ("release", "debug")),
            {"arch": "arm64", "config": "debug"},
        ],
    ),
    "builder MatrixExclude.Match": (
        {"arch": ["x64", "x86"], "config": ["release", "debug"]},
        [],
        [{"arch": "x86", "config": "release"}],
        [
            {"arch": "x64", "config": "release"},
            {"arch": "x64", "config": "debug"},
            {"arch": "x86", "config": "debug"},
        ],
    ),
    "builder MatrixFilter": (
        {
            "versions": [{"node-version": 12, "npm-version": 6}, {"node-version": 12, "npm-version": 7}],
            "config": ["release", "debug"],
        },
        [],
        [{"versions": {"node-version": 12, "npm-version": 6}, "config": "release"}],
        [
            {"versions": {"node-version": 12, "npm-version": 6}, "config": "debug"},
            {"versions": {"node-version": 12, "npm-version": 7}, "config": "release"},
            {"versions": {"node-version": 12, "npm-version": 7}, "config": "debug"},
        ],
    ),
    "act matrix": (
        {"os": ["ubuntu-18.04", "macos-latest"], "node": [4, 6, 8, 10]},
        [],
        [],
        [{"os": os, "node": node} for os in ("ubuntu-18.04", "macos-latest") for node in (4, 6, 8, 10)],
    ),
    "act matrix-include-exclude, build": (
        {"os": ["ubuntu-18.04", "macos-latest"], "node": [4, 6, 8, 10]},
        [{"os": "ubuntu-16.04", "node": 10}],
        [{"os": "macos-latest", "node": 4}],
        [
            *({"os": "ubuntu-18.04", "node": node} for node in (4, 6, 8, 10)),
            *({"os": "macos-latest", "node": node} for node in (6, 8, 10)),
            {"os": "ubuntu-16.04", "node": 10},
        ],
    ),
    "act matrix-include-exclude, test": (
        {"node": ["8.x", "10.x", "12.x", "13.x"]},
        [],
        [],
        [{"node": "8.x"}, {"node": "10.x"}, {"node": "12.x"}, {"node": "13.x"}],
    ),
    # act makes a row of its own of an entry that names no axis. Here it is added to every row, as GitHub's manual has it.
    "act TestReadWorkflow_Strategy, strategy-all": (
        {"datacenter": ["site-c", "site-d"], "node-version": ["14.x", "16.x"], "site": ["staging"]},
        [
            {"php-version": 5.4},
            {"datacenter": "site-a", "node-version": "10.x", "site": "prod"},
            {"datacenter": "site-b", "node-version": "12.x", "site": "dev"},
        ],
        [{"datacenter": "site-d", "node-version": "14.x", "site": "staging"}],
        [
            {"datacenter": "site-c", "node-version": "14.x", "site": "staging", "php-version": 5.4},
            {"datacenter": "site-c", "node-version": "16.x", "site": "staging", "php-version": 5.4},
            {"datacenter": "site-d", "node-version": "16.x", "site": "staging", "php-version": 5.4},
            {"datacenter": "site-a", "node-version": "10.x", "site": "prod"},
            {"datacenter": "site-b", "node-version": "12.x", "site": "dev"},
        ],
    ),
    # Without a matrix act has one job, of an empty row. Here, as in Actions' builder, no axes make no rows.
    "act TestReadWorkflow_Strategy, strategy-no-matrix": ({}, [], [], []),
    "nextflow should combine channels": (
        {"left": ["a", "b", "c"], "right": [1, 2, 3]},
        [],
        [],
        [{"left": left, "right": right} for left in ("a", "b", "c") for right in (1, 2, 3)],
    ),
    "nextflow should combine two values": ({"left": ["x"], "right": ["z"]}, [], [], [{"left": "x", "right": "z"}]),
    "nextflow should combine with empty value": ({"left": [], "right": ["z"]}, [], [], []),
    "nextflow should combine with map": (
        {"left": [{"id": 1, "val": "x"}, {"id": 2, "val": "y"}], "right": ["alpha", "beta"]},
        [],
        [],
        [
            {"left": {"id": 1, "val": "x"}, "right": "alpha"},
            {"left": {"id": 1, "val": "x"}, "right": "beta"},
            {"left": {"id": 2, "val": "y"}, "right": "alpha"},
            {"left": {"id": 2, "val": "y"}, "right": "beta"},
        ],
    ),
    "nextflow should chain combine": (
        {"one": [1, 2], "two": ["a", "b", "c"], "three": ["x", "y"]},
        [],
        [],
        [{"one": one, "two": two, "three": three} for one in (1, 2) for two in "abc" for three in "xy"],
    ),
    "forgejo TestReadWorkflow_Strategy, strategy-empty-dimension": (
        {"datacenter": [], "node-version": ["14.x", "16.x"]},
        [],
        [],
        [],
    ),
}


@pytest.mark.parametrize("case", PEERS)
def test_a_matrix_expands_as_its_peers_say(case):
    axes, include, exclude, expected = PEERS[case]
    made = list(combinations(axes, include, exclude))
    assert made == expected
    assert [list(row) for row in made] == [list(row) for row in expected]  # keys in their order too


@pytest.mark.parametrize(
    ("axes", "include", "exclude", "expected"),
    [
        ({"a": []}, [], [], []),
        ({"a": [1, 2], "b": []}, [], [], []),
        ({"a": []}, [{"c": 1}], [], [{"c": 1}]),
        ({}, [], [], []),
        ({"a": [1]}, [{"c": 1}], [{"a": 1}], [{"c": 1}]),
        ({"a": [1]}, [{"a": 1}], [{"a": 1}], [{"a": 1}]),  # what was excluded may be brought back
        ({"a": [1]}, [{"a": 1}], [], [{"a": 1}]),
        ({"a": [1]}, [{"c": 1}, {"c": 2}], [], [{"a": 1, "c": 2}]),
        ({"a": [1]}, [{"a": 2, "c": 1}, {"c": 3}], [], [{"a": 1, "c": 3}, {"a": 2, "c": 1}]),
        (
            {"a": [{"v": 1, "w": 2}, {"v": 2}]},
            [{"a": {"v": 1}, "c": 1}],
            [],
            [{"a": {"v": 1, "w": 2}, "c": 1}, {"a": {"v": 2}}],
        ),
        ({"a": [{"v": 1, "w": 2}, {"v": 2}]}, [], [{"a": {"v": 1}}], [{"a": {"v": 2}}]),
        ({"a": [[1, 2], [1, 3], 1]}, [], [{"a": [1, 2]}], [{"a": [1, 3]}, {"a": 1}]),
        ({"a": [1, 1]}, [], [], [{"a": 1}, {"a": 1}]),
        ({"a": [None]}, [], [{"a": None}], []),
    ],
)
def test_the_edges_of_a_matrix(axes, include, exclude, expected):
    assert list(combinations(axes, include, exclude)) == expected


@pytest.mark.parametrize(("value", "wanted"), [(1, True), (True, 1), ("12", 12), ("A", "a"), (0, None), ([1], 1)])
def test_values_that_yaml_tells_apart_do_not_fit(value, wanted):
    assert not fits(value, wanted)


def test_combinations_come_one_by_one():
    many = combinations({"a": range(10**12), "b": range(10**5)}, [{"c": 1}], [{"a": 0, "b": 0}])
    assert list(islice(many, 2)) == [{"a": 0, "b": 1, "c": 1}, {"a": 0, "b": 2, "c": 1}]


@given(st.lists(st.lists(st.integers(0, 3), max_size=3), min_size=1, max_size=4))
def test_without_entries_a_matrix_is_the_product_of_its_axes(values):
    axes = {f"a{number}": axis for number, axis in enumerate(values)}
    assert [tuple(row.values()) for row in combinations(axes)] == list(product(*values))


VALUES = st.sampled_from([0, 1, 2, "x"])
ENTRIES = st.lists(st.dictionaries(st.sampled_from("abcd"), VALUES, min_size=1), max_size=4)


@given(st.dictionaries(st.sampled_from("ab"), st.lists(VALUES, max_size=3)), ENTRIES, ENTRIES)
def test_the_laws_of_a_matrix(axes, include, exclude):
    exclude = [{key: value for key, value in entry.items() if key in axes} or {"none": 0} for entry in exclude]
    plain = list(combinations(axes))
    left = list(combinations(axes, (), exclude))
    made = list(combinations(axes, include, exclude))
    assert [row for row in plain if row in left] == left
    assert [{key: row[key] for key in axes} for row in made[: len(left)]] == left  # no value of an axis is changed
    assert len(left) <= len(made) <= len(left) + len(include)
    assert all(any(entry.items() <= row.items() or fits_an_original(entry, left) for row in made) for entry in include)


def fits_an_original(entry, rows):
    return any(all(row.get(key, value) == value for key, value in entry.items()) for row in rows)
