"""Values for `${params.x}`: defaults from the file, others from `-p`, `--params FILE` and the API, of the same type."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from pipeline_runner.errors import Problem, Problems
from pipeline_runner.marks import Mark
from pipeline_runner.spec.files import read_text
from pipeline_runner.spec.problems import BadParameter, NotAMapping, UnknownParameter, describe
from pipeline_runner.syntax.expressions import references
from pipeline_runner.syntax.reader import MapNode, plain, read
from pipeline_runner.typed import Any


def fill_params(
    defaults: Mapping[str, Any],
    given: Mapping[str, object],
    overrides: Mapping[str, str],
    marks: Mapping[str, Mark],
    places: Mapping[str, Mark] | None = None,
) -> tuple[dict[str, Any], list[Problem]]:
    """The parameters of a run: `given` are values (API, --params), `overrides` are texts (-p) and win.

    `marks` are where the defaults stand, `places` where the values do that another file gives.
    """
    params = dict(defaults)
    places = places or {}
    problems: list[Problem] = []
    for name, value in given.items():
        _set(params, name, (name,), value, defaults, places.get(name) or marks.get(name), problems)
    for name, text in overrides.items():
        path = _path(name, defaults)
        _set(params, name, path, _parse(text, _at(defaults, path)), defaults, marks.get(path[0]), problems)
    known = [name for name in (*given, *overrides) if _path(name, defaults)[0] not in defaults]
    unknown = [UnknownParameter(mark=places.get(name), name=name, known=tuple(defaults)) for name in known]
    return params, list(dict.fromkeys([*unknown, *problems]))


def parameters_of(names: Iterable[str], defaults: Mapping[str, Any]) -> list[str]:
    """The parameters in which these names, `model.rate` among them, set something."""
    return [first for name in names if (first := _path(name, defaults)[0]) in defaults]


def _path(name: str, defaults: Mapping[str, Any]) -> tuple[str, ...]:
    """`model.rate` is the key `rate` of the parameter `model`, unless there is a parameter of that very name."""
    steps = tuple(name.split("."))
    return (name,) if name in defaults or steps[0] not in defaults or not all(steps) else steps


_NOWHERE = object()


def _at(defaults: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    """The default that a path leads to. An empty mapping takes anything, as a default of nothing does."""
    found: Any = defaults
    for step in path:
        if not isinstance(found, Mapping):
            return _NOWHERE
        if step not in found:
            return None if found == {} and found is not defaults else _NOWHERE
        found = found[step]
    return found


def _set(
    params: dict[str, Any],
    name: str,
    path: tuple[str, ...],
    value: Any,
    defaults: Mapping[str, Any],
    mark: Mark | None,
    problems: list[Problem],
) -> None:
    """Put a value where its path leads, or tell what is wrong with it."""
    if path[0] not in defaults:
        return
    default = _at(defaults, path)
    if default is _NOWHERE:
        above = _at(defaults, path[:-1])
        known = (
            tuple(f"{'.'.join(path[:-1])}.{key}" for key in above) if isinstance(above, Mapping) else tuple(defaults)
        )
        problems.append(UnknownParameter(mark=None, name=name, known=known))
        return
    fits, value = _convert(value, default)
    if not fits:
        problems.append(BadParameter(mark=mark, name=name, wants=_kind(default), got=describe(value)))
        return
    _put(params, path, value)


def _put(params: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Put it there, and leave the mappings on the way as they were for whoever else has them."""
    first, *rest = path
    if rest:
        inner = dict(params.get(first) or {})
        _put(inner, tuple(rest), value)
        value = inner
    params[first] = value


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
    if any(True for _ in references(value)):  # what it is, only the run will know
        return True, value
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
