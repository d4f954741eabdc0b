"""The expansion of a matrix, held against GitHub Actions' own examples."""

from __future__ import annotations

from itertools import islice, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_runner.spec.matrix import combinations, fits

# From "Running variations of jobs in a workflow", and (the last three) from the comments of Actions' own builder.
GITHUB = {
    "two axes, the first one slowest": (
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
    "mappings as values": (
        {"os": ["ubuntu-latest", "macos-latest"], "node": [{"version": 14}, {"version": 20, "env": "OPTIONS=legacy"}]},
        [],
        [],
        [
            {"os": "ubuntu-latest", "node": {"version": 14}},
            {"os": "ubuntu-latest", "node": {"version": 20, "env": "OPTIONS=legacy"}},
            {"os": "macos-latest", "node": {"version": 14}},
            {"os": "macos-latest", "node": {"version": 20, "env": "OPTIONS=legacy"}},
        ],
    ),
    "fruits and animals": (
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
    "expanding configurations": (
        {"os": ["windows-latest", "ubuntu-latest"], "node": [14, 16]},
        [{"os": "windows-latest", "node": 16, "npm": 6}],
        [],
        [
            {"os": "windows-latest", "node": 14},
            {"os": "windows-latest", "node": 16, "npm": 6},
            {"os": "ubuntu-latest", "node": 14},
            {"os": "ubuntu-latest", "node": 16},
        ],
    ),
    "adding configurations": (
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
    "include alone": (
        {},
        [{"site": "production", "datacenter": "site-a"}, {"site": "staging", "datacenter": "site-b"}],
        [],
        [{"site": "production", "datacenter": "site-a"}, {"site": "staging", "datacenter": "site-b"}],
    ),
    "one more that may fail": (
        {"version": [6, 7, 8], "experimental": [False]},
        [{"version": 9, "experimental": True}],
        [],
        [*({"version": version, "experimental": False} for version in (6, 7, 8)), {"version": 9, "experimental": True}],
    ),
    "excluding configurations": (
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
    "an exclude filter": (
        {"arch": ["x64", "x86"], "os": ["linux", "windows"]},
        [],
        [{"arch": "x86", "os": "linux"}],
        [{"arch": "x64", "os": "linux"}, {"arch": "x64", "os": "windows"}, {"arch": "x86", "os": "windows"}],
    ),
    "an include filter": (
        {"arch": ["x64", "x86"], "os": ["linux", "windows"]},
        [{"arch": "x64", "os": "linux", "publish": True}],
        [],
        [
            {"arch": "x64", "os": "linux", "publish": True},
            {"arch": "x64", "os": "windows"},
            {"arch": "x86", "os": "linux"},
            {"arch": "x86", "os": "windows"},
        ],
    ),
    "an include vector": (
        {"arch": ["x64", "x86"], "os": ["linux", "windows"]},
        [{"arch": "x64", "os": "macos"}],
        [],
        [
            {"arch": "x64", "os": "linux"},
            {"arch": "x64", "os": "windows"},
            {"arch": "x86", "os": "linux"},
            {"arch": "x86", "os": "windows"},
            {"arch": "x64", "os": "macos"},
        ],
    ),
}


@pytest.mark.parametrize("case", GITHUB)
def test_a_matrix_expands_as_on_github(case):
    axes, include, exclude, expected = GITHUB[case]
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
