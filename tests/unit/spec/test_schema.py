"""The JSON Schema alone, as an editor uses it: it takes what we take, and refuses what it can."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from pipeline_runner.spec import models, schema
from pipeline_runner.spec.build import build
from pipeline_runner.syntax.reader import plain, read

ROOT = Path(__file__).parents[3]
VALIDATOR = jsonschema.Draft202012Validator(schema.json_schema())

SYNTAX = (ROOT / "tests/language/page_example.yaml").read_text()


def accepts(text):
    return VALIDATOR.is_valid(plain(read(text, "p.yaml").root))


def stage(keys):
    return f"stages: {{a: {{{keys}}}}}"


def test_the_file_in_schemas_is_what_the_models_say():
    stale = "write it anew:  prun schema --output schemas/pipeline.schema.json"
    assert (ROOT / "schemas/pipeline.schema.json").read_text(encoding="utf-8") == schema.text(), stale


def test_it_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(json.loads(schema.text()))


def test_every_key_is_described():
    schema.json_schema()
    for model in (models.Pipeline, models.Profile, models.Stage, models.Retry):
        assert [name for name, field in model.model_fields.items() if not field.description] == []


def test_the_example_of_the_language_is_accepted_by_schema_and_build():
    assert accepts(SYNTAX)
    assert list(build(SYNTAX).stages) == ["read", "count", "total"]


@pytest.mark.parametrize(
    "keys",
    [
        "call: 'm:f'",
        "call: file.py:f",
        "call: 'm:A.method', over: [1, 2]",
        "call: 'm:f', over: {range: 10}",
        "call: 'm:f', over: {range: [0, 10, 2]}",
        "call: 'm:f', over: {range: '${params.n}'}",
        "call: 'm:f', over: {a: [1], b: {glob: x}}",
        "call: 'm:f', over: {generate: 'm:g', with: {seed: 1}, take: 10}",
        "call: 'm:f', over: {matrix: {a: [1, {b: 2}], c: {range: 3}, d: '${params.n}'}}",
        "call: 'm:f', over: {matrix: {a: [1]}, include: [{a: 2}], exclude: '${params.l}'}",
        "call: 'm:f', over: {matrix: {a: [1], include: [{a: 2}]}}",
        "call: 'm:f', over: {batches: {batches: '${stages.b}', size: 2}, size: '${params.n}'}",
        "call: 'm:f', over: {x: {matrix: {a: [1]}}, y: {batches: [1], size: 2}}",
        "call: 'm:f', over: '${stages.b}'",
        "call: 'm:f', workers: '${params.n}', timeout: '${params.t}', args: '${params.a}'",
        "call: 'm:f', timeout: 1h30m, retry: {limit: 3, delay: 1s, on: [ValueError, lost]}",
        "call: 'm:f', timeout: 5, retry: 2, chunk: auto",
        "call: 'm:f', with: [1, 2], needs: b",
        "call: 'm:f', method: pathos.pools.ProcessPool.map",
        "run: echo hello",
        "run: [echo, hello], limits: [api]",
    ],
)
def test_good_stages_are_accepted(keys):
    assert accepts(stage(keys))


@pytest.mark.parametrize(
    "text",
    [
        "version: 2\nstages: {a: {call: 'm:f'}}",
        "stages: {}",
        "name: x",
        "[]",
        "nmae: x\nstages: {a: {call: 'm:f'}}",
        "stages: {a b: {call: 'm:f'}}",
        "stages: {a: m:f}",
        "workers: 0\nstages: {a: {call: 'm:f'}}",
        "profiles: {x: {worker: 1}}\nstages: {a: {call: 'm:f'}}",
        "defaults: {timeot: 1}\nstages: {a: {call: 'm:f'}}",
        stage("over: [1]"),
        stage("call: 'm:f', run: ls"),
        stage("call: m.f"),
        stage("call: 'm:f', dispach: async"),
        stage("call: 'm:f', dispatch: sync"),
        stage("call: 'm:f', args: mapp"),
        stage("call: 'm:f', returns: lists"),
        stage("call: 'm:f', method: map"),
        stage("call: 'm:f', backend: cuda"),
        stage("call: 'm:f', over: 10"),
        stage("call: 'm:f', over: text"),
        stage("call: 'm:f', over: {golb: x}"),
        stage("call: 'm:f', over: {range: [1, 2, 3, 4]}"),
        stage("call: 'm:f', over: {generate: 'm:g', tak: 1}"),
        stage("call: 'm:f', over: {matrix: [1]}"),
        stage("call: 'm:f', over: {matrix: {a: 3}}"),
        stage("call: 'm:f', over: {matrix: {a: [1]}, include: [3]}"),
        stage("call: 'm:f', over: {matrix: {a: [1]}, includes: [{a: 2}]}"),
        stage("call: 'm:f', over: {batches: [1]}"),
        stage("call: 'm:f', over: {batches: 3, size: 1}"),
        stage("call: 'm:f', workers: two"),
        stage("call: 'm:f', workers: 1.5"),
        stage("call: 'm:f', timeout: 5 minutes"),
        stage("call: 'm:f', timeout: 0"),
        stage("call: 'm:f', retry: {limt: 1}"),
        stage("call: 'm:f', retry: -1"),
        stage("call: 'm:f', chunk: small"),
        stage("call: 'm:f', shortest: yes"),
        stage("call: 'm:f', needs: 7"),
        stage("call: 'm:f', env: [A]"),
        stage("call: 'm:f', with: hello"),
        stage("call: 'm:f', start_method: forks"),
        stage("call: 'm:f', on_error: ignore"),
    ],
)
def test_bad_texts_are_refused_by_the_schema_alone(text):
    assert not accepts(text)


def test_keys_for_anchors_are_accepted():
    assert accepts("x-base: &b {retry: 1}\nstages: {a: {<<: *b, call: 'm:f'}}")
