"""What is taken without pydantic means what pydantic would have made of it, and nothing wrong is taken."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline_runner.spec import models
from pipeline_runner.spec.ordinary import PIPELINE, PROFILE, STAGE, Unsure, ordinary

pytestmark = pytest.mark.timeout(60)

LEFT_TO_PYDANTIC = {
    "Stage": set(),
    "Profile": {"dask", "ray", "mpi"},
    "Pipeline": {"on_success", "on_failure", "profiles", "include", "dask", "ray", "mpi"},
}

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.sampled_from([1 << 60, 0.5, 1.0, 2.0, -1.0, float("nan"), float("inf")]),
    st.sampled_from(
        ["", "a", "auto", "30s", "1h30m", "2GiB", "-1s", "map", "star", "async", "list", "iterator", "none"]
    ),
    st.sampled_from(["stop", "skip", "fork", "spawn", "text", "json", "mod:f", "dask", "multiprocessing", "lost"]),
    st.sampled_from(["multiprocessing.Pool.map", "Pool.nothing"]),
)
DEEP = st.recursive(
    VALUES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "", "limit", "delay", "on", "jitter", 1]), inner, max_size=3)
    ),
    max_leaves=5,
)


def mapping(table):
    return st.dictionaries(st.sampled_from([*table, "with_", "nonsense"]), DEEP, max_size=5)


def same(taken, model):
    """Attribute by attribute, types too: 1, 1.0 and True are not the same."""
    if isinstance(taken, SimpleNamespace):
        for name in {**vars(type(taken)), **vars(taken)}:
            if not name.startswith("__"):
                same(getattr(taken, name), getattr(model, name))
    elif isinstance(taken, dict):
        assert list(taken) == list(model)
        for key, value in taken.items():
            same(value, model[key])
    elif isinstance(taken, list):
        assert len(taken) == len(model)
        for one, other in zip(taken, model, strict=True):
            same(one, other)
    else:
        assert type(taken) is type(model)
        assert taken == model or taken != taken


def compare(kind, values):
    try:
        taken = ordinary(kind, values)
    except Unsure:
        return False
    try:
        model = getattr(models, kind).model_validate(values)
    except ValidationError as error:
        raise AssertionError(f"{values} was taken, and is wrong") from error
    same(taken, model)
    return True


@pytest.mark.parametrize(("kind", "table"), [("Stage", STAGE), ("Profile", PROFILE), ("Pipeline", PIPELINE)])
def test_every_key_is_known_or_left_to_pydantic_on_purpose(kind, table):
    keys = {field.alias or name for name, field in getattr(models, kind).model_fields.items()}
    assert keys - set(table) == LEFT_TO_PYDANTIC[kind]
    assert set(table) <= keys


@settings(max_examples=600, deadline=None)
@given(mapping(STAGE))
def test_a_stage_that_is_taken_is_what_its_model_says(values):
    compare("Stage", values)


@settings(max_examples=300, deadline=None)
@given(mapping(PROFILE))
def test_a_profile_that_is_taken_is_what_its_model_says(values):
    compare("Profile", values)


@settings(max_examples=300, deadline=None)
@given(
    mapping(PIPELINE),
    st.dictionaries(st.sampled_from(["a", "ä", "a b", "", "a\n", "-a", "_1"]), mapping(STAGE), max_size=2),
)
def test_a_pipeline_that_is_taken_is_what_its_model_says(values, stages):
    compare("Pipeline", {**values, "stages": stages})


@pytest.mark.parametrize(
    "keys",
    [
        {"call": "work:same", "with": [7]},
        {"call": "a.py:f", "over": {"glob": "*.txt"}, "args": "star", "returns": "iterator", "dispatch": "async"},
        {"run": "true", "retry": 2, "timeout": "1h30m", "memory": "2GiB", "needs": "a", "limits": ["api", "api"]},
        {"run": "true", "retry": {"limit": 3, "delay": "5s", "backoff": 2, "jitter": 0.5, "on": "lost"}, "needs": ["a"]},
        {"run": "x", "env": {"A": 1, "B": None, "C": "c", "D": 0.5, "E": True}, "deps": "a.txt", "outs": ["b"], "salt": 3},
        {"call": "a:b", "method": "multiprocessing.Pool.map", "backend": "multiprocessing", "chunk": "auto", "workers": 2},
        {"call": "a:b", "setup": "a:c", "setup_with": {"x": [1]}, "if": "always", "cache": True, "on_error": "skip"},
        {"pipeline": "other.yaml", "params": {"x": 1}, "start_method": "spawn", "priority": -1, "stdout": "lines"},
    ],
)  # fmt: skip
def test_what_people_write_is_taken(keys):
    assert compare("Stage", keys)
    assert compare("Pipeline", {"version": 1, "name": "n", "params": {"x": 1}, "stages": {"one": keys}})
    assert compare("Profile", {"workers": 2, "defaults": keys, "stages": {"one": keys}})


def test_a_pipeline_without_stages_is_left_to_pydantic():
    assert not compare("Pipeline", {"version": 1})
    assert not compare("Pipeline", {"stages": {}})
