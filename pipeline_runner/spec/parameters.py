"""Values for `${params.x}`: defaults from the file, others from `-p`, `--params FILE` and the API, of the same type."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline_runner.errors import Problem, Problems
from pipeline_runner.marks import Mark
from pipeline_runner.spec.files import read_text
from pipeline_runner.spec.problems import BadParameter, NotAMapping, UnknownParameter, describe
from pipeline_runner.syntax.reader import MapNode, plain, read


def fill_params(
    defaults: Mapping[str, Any],
    given: Mapping[str, object],
    overrides: Mapping[str, str],
    marks: Mapping[str, Mark],
) -> tuple[dict[str, Any], list[Problem]]:
    """The parameters of a run: `given` are values (API, --params), `overrides` are texts (-p) and win."""
    params = dict(defaults)
    known = tuple(defaults)
    problems: list[Problem] = [
        UnknownParameter(mark=None, name=name, known=known) for name in (*given, *overrides) if name not in defaults
    ]
    values = {**given, **{name: _parse(text, defaults.get(name)) for name, text in overrides.items()}}
    for name, value in values.items():
        if name not in defaults:
            continue
        fits, params[name] = _convert(value, defaults[name])
        if not fits:
            wants = _kind(defaults[name])
            problems.append(BadParameter(mark=marks.get(name), name=name, wants=wants, got=describe(value)))
    return params, list(dict.fromkeys(problems))


def read_params(path: str | os.PathLike[str]) -> dict[str, object]:
    """The mapping that a `--params FILE` holds (YAML or JSON). Errors: Problems."""
    text = read_text(Path(path), str(path))
    document = read(text, str(path))
    if document.problems:
        raise Problems(document.problems)
    if document.root is None:
        return {}
    if not isinstance(document.root, MapNode):
        got = describe(plain(document.root))
        raise Problems([NotAMapping(mark=document.root.mark, what="a file of parameters", got=got)])
    return {str(key): value for key, value in plain(document.root).items()}


def _parse(text: str, default: Any) -> Any:
    """A `-p` text read as YAML, unless text is what is wanted."""
    if isinstance(default, str):
        return text
    document = read(text, "-p")
    return text if document.problems else None if document.root is None else plain(document.root)


def _convert(value: Any, default: Any) -> tuple[bool, Any]:
    """Whether the value is of the default's type, and the value."""
    match default:
        case None:
            return True, value
        case bool():
            return isinstance(value, bool), value
        case int():
            return isinstance(value, int) and not isinstance(value, bool), value
        case float():
            fits = isinstance(value, int | float) and not isinstance(value, bool)
            return fits, float(value) if fits and abs(value) < 1e300 else value
        case str():
            value = os.fspath(value) if isinstance(value, os.PathLike) else value
            return isinstance(value, str), value
        case list():
            return isinstance(value, list | tuple), list(value) if isinstance(value, tuple) else value
    return isinstance(value, Mapping), value


def _kind(default: Any) -> str:
    match default:
        case bool():
            return "true or false"
        case int():
            return "a whole number"
        case float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
    return "a mapping"
