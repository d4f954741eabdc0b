"""The JSON Schema of a pipeline file, made from the models: editors check and complete with it."""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise

from pipeline_runner.spec import models
from pipeline_runner.spec.models import FUNCTION, Pipeline, Written
from pipeline_runner.spec.words import STAGE_NAME
from pipeline_runner.typed import Any

_REFERENCE = {
    "type": "string",
    "pattern": r"^\$\{.*\}$",
    "description": "`${params.x}`, `${env.X}`: what it stands for is checked when the file is read.",
}
_PATH = {"type": "string", "minLength": 1}
_ENTRIES = {
    "anyOf": [{"type": "array", "items": {"type": "object", "minProperties": 1}}, {"$ref": "#/$defs/Reference"}]
}
_WHOLE = {"anyOf": [{"type": "integer"}, {"$ref": "#/$defs/Reference"}]}


def _source(
    key: str, value: dict[str, Any], description: str, beside: Mapping[str, Any] | None = None, *needed: str
) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {key: {**value, "description": description}, **(beside or {})},
        "required": [key, *needed],
        "additionalProperties": False,
    }


_SOURCES = [
    _source("range", {"anyOf": [_WHOLE, {"type": "array", "items": _WHOLE, "minItems": 2, "maxItems": 3}]}, "Numbers."),
    _source("glob", _PATH, "Paths or URLs that match, sorted."),
    _source("lines", _PATH, "The lines of a file, which may be compressed (.gz, .bz2, .xz)."),
    _source("csv", _PATH, "The rows of a CSV file, as mappings."),
    _source("jsonl", _PATH, "The values of a JSON lines file."),
    _source(
        "matrix",
        {
            "anyOf": [
                {
                    "type": "object",
                    "properties": {"include": _ENTRIES, "exclude": _ENTRIES},
                    "additionalProperties": {"$ref": "#/$defs/Source"},
                },
                {"$ref": "#/$defs/Reference"},
            ]
        },
        "Axes: each value of one with each value of the others, as mappings.",
        {"include": _ENTRIES, "exclude": _ENTRIES},
    ),
    _source(
        "batches",
        {"$ref": "#/$defs/Source"},
        "The items of a source in lists of `size`, the last one shorter.",
        {"size": _WHOLE},
        "size",
    ),
    _source(
        "generate",
        {"type": "string", "pattern": FUNCTION},
        "A generator function, drawn from lazily.",
        {"with": {"type": ["object", "array"]}, "take": _WHOLE},
    ),
]
_WORDS = [source["required"][0] for source in _SOURCES]
_ONE_SOURCE = {"anyOf": [{"type": "array"}, {"$ref": "#/$defs/Reference"}, *_SOURCES]}
_OVER = {
    "anyOf": [
        {"type": "array", "description": "Items; or, where all of them are sources, the columns of `args: zip`."},
        {"$ref": "#/$defs/Reference"},
        *_SOURCES,
        {
            "type": "object",
            "description": "The columns of `args: zip`: a keyword of the function, and its source.",
            "anyOf": [{"minProperties": 2}, {"minProperties": 1, "propertyNames": {"not": {"enum": _WORDS}}}],
            "additionalProperties": {"$ref": "#/$defs/Source"},
        },
    ]
}


def json_schema() -> dict[str, Any]:
    """The schema, draft 2020-12."""
    _describe_keys()
    schema = Pipeline.model_json_schema(by_alias=True)
    _tidy(schema)
    schema["$defs"] |= {"Reference": _REFERENCE, "Source": _ONE_SOURCE, "Over": _OVER}
    schema["properties"]["stages"] |= {"propertyNames": {"pattern": STAGE_NAME}}
    schema["patternProperties"] = {"^x-": {"description": "Anything: a place for YAML anchors."}}
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "prun pipeline"}
    return {**head, **{key: value for key, value in schema.items() if key != "title"}}


@cache
def _describe_keys() -> None:
    """Give each key what is written below it. Models are made of one another, so all are made anew."""
    told = {(model, key): text for model, key, text in _written_below_keys()}
    described = [each for each in vars(models).values() if isinstance(each, type) and issubclass(each, Written)]
    for model in described:
        for name, field in model.model_fields.items():
            field.description = next(told[at] for above in model.__mro__ if (at := (above.__name__, name)) in told)
        model.model_rebuild(force=True)


def _written_below_keys() -> Iterator[tuple[str, str, str]]:
    """Model, key, and the text below the key."""
    classes = (each for each in ast.parse(inspect.getsource(models)).body if isinstance(each, ast.ClassDef))
    for model in classes:
        for key, below in pairwise(model.body):
            match key, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    yield model.name, name, inspect.cleandoc(text)


def text() -> str:
    """The schema as the file in `schemas/` holds it."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def _tidy(schema: Any) -> None:
    """Point to our own definitions, and drop titles and defaults that say nothing."""
    if isinstance(schema, dict):
        if isinstance(schema.get("title"), str):
            del schema["title"]
        if schema.get("default", "") is None:
            del schema["default"]
        if isinstance(schema.get("definition"), str):
            schema["$ref"] = f"#/$defs/{schema.pop('definition')}"
        for value in schema.values():
            _tidy(value)
    elif isinstance(schema, list):
        for value in schema:
            _tidy(value)
