"""pydantic's errors in our own sentences, each at the place in the file that it speaks of."""

from __future__ import annotations

from pydantic_core import ErrorDetails

from pipeline_runner.backends import table
from pipeline_runner.errors import Problem
from pipeline_runner.marks import Mark
from pipeline_runner.spec.models import DaskKeys, MpiKeys, Pipeline, Profile, RayKeys, Retry, Stage, Tls, Written
from pipeline_runner.spec.problems import (
    BadDuration,
    BadSize,
    BadStageName,
    BadVersion,
    NoName,
    NoStages,
    NotAMapping,
    OutOfRange,
    UnknownBackend,
    UnknownKey,
    UnknownMethod,
    WrongType,
    WrongWord,
    describe,
)
from pipeline_runner.spec.words import backend_words
from pipeline_runner.syntax.reader import Entry, ListNode, MapNode, Node
from pipeline_runner.typed import Any

_WANTS = {
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "float_type": "a number",
    "finite_number": "a finite number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "list_type": "a list",
    "model_type": "a mapping",
    "string_type": "text",
}

_CLUSTERS: dict[str, type[Written]] = {"dask": DaskKeys, "ray": RayKeys, "mpi": MpiKeys}


def keys(model: type[Written]) -> tuple[str, ...]:
    """The keys of a model as people write them."""
    return tuple(field.alias or name for name, field in model.model_fields.items())


def translate(error: ErrorDetails, root: Node) -> Problem:
    """One error of pydantic's, whose `loc` is looked up in the marked nodes."""
    loc = error["loc"]
    about_key = bool(loc) and (loc[-1] == "[key]" or error["type"] == "invalid_key")
    path = loc[:-1] if loc and loc[-1] == "[key]" else loc
    variable = _variable(path)
    if variable:  # after it there is only which type it might have had
        path = path[:variable]
    entry, node = _find(root, path)
    mark = node.mark
    key = next((str(step) for step in reversed(path) if isinstance(step, str)), "the file")
    got = error.get("input")
    match error["type"]:
        case "extra_forbidden":
            return _unknown_key(path, entry.key.mark if entry else mark)
        case "missing" if "tls" in path:
            return WrongType(mark=mark, key="tls", wants="ca, cert and key", got=f'no "{path[-1]}"')
        case "missing":  # the one key that must be there
            return NoStages(mark=root.mark)
        case "too_short" if path == ("stages",):
            return NoStages(mark=mark)
        case "literal_error" if path == ("version",):
            return BadVersion(mark=mark, got=describe(got))
        case "enum" | "literal_error":
            return WrongWord(mark=mark, key=key, word=_quoted(got), known=_expected(error))
        case "unknown_method":
            return UnknownMethod(mark=mark, name=str(got), known=tuple(table().names), canonical=tuple(table().methods))
        case "unknown_backend":
            return UnknownBackend(mark=mark, word=str(got), known=backend_words())
        case "bad_duration":
            return BadDuration(mark=mark, key=key, text=str(got))
        case "bad_size":
            return BadSize(mark=mark, key=key, text=str(got))
        case "greater_than" | "greater_than_equal" | "less_than_equal":
            return OutOfRange(mark=mark, key=key, got=str(got), wants=_range(error))
        case "string_pattern_mismatch" | "string_type" if about_key and len(path) == 2 and path[0] == "stages":
            name = got if isinstance(got, str) else _as_written(got)
            return BadStageName(mark=entry.key.mark if entry else mark, name=name)
    if error["type"] == "model_type" and len(path) == 2 and path[0] in ("stages", "profiles"):
        return NotAMapping(mark=mark, what=f'{str(path[0]).removesuffix("s")} "{path[1]}"', got=describe(got))
    if variable and not about_key:
        return WrongType(mark=mark, key=key, wants="text", got=describe(got), cure=_OF_ENV)
    if about_key:
        return NoName(mark=entry.key.mark if entry else mark, where=_where(path[:-1]), key=got)
    wants = _WANTS.get(error["type"], error["msg"].removeprefix("Input should be ").removeprefix("a valid "))
    return WrongType(mark=mark, key=key, wants=_also(key, wants), got=describe(got), cure=_cure(wants, got))


def _variable(path: tuple[Any, ...]) -> int:
    """How many steps lead to the variable of an `env`; 0: to none. There may be a stage of that name."""
    found = (
        at for at, step in enumerate(path) if step == "env" and path[at - 1 : at] not in (("stages",), ("profiles",))
    )
    at = next(found, len(path))
    return at + 2 if len(path) > at + 1 else 0


_OF_ENV = "a variable of the environment is one text, number, true or false"


def _find(root: Node, path: tuple[Any, ...]) -> tuple[Entry | None, Node]:
    """The node of a path, as far as it was written: a default, a shorthand or a reference has nothing inside."""
    entry: Entry | None = None
    node = root
    for step in path:
        if isinstance(node, MapNode) and (found := _entry(node, step)):
            entry, node = found, found.value
        elif isinstance(node, ListNode) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
        else:
            break
    return entry, node


def _entry(node: MapNode, step: int | str) -> Entry | None:
    """The entry of a key. Where it is no text, pydantic says it as Python does."""
    if step in node.entries:
        return node.entries[step]
    return next((entry for key, entry in node.entries.items() if not isinstance(key, str) and str(key) == step), None)


def _as_written(key: object) -> str:
    """A key that is no text, as YAML has it."""
    return {"None": "null", "True": "true", "False": "false"}.get(str(key), str(key))


def _where(path: tuple[Any, ...]) -> str:
    match path:
        case ("stages", name):
            return f'in stage "{name}"'
        case ("profiles", name):
            return f'in profile "{name}"'
        case ("profiles", name, "stages", stage):
            return f'in stage "{stage}" of profile "{name}"'
        case ("on_success" | "on_failure" as hook,) | ("on_success" | "on_failure" as hook, int()):
            return f'in "{hook}"'
        case ("profiles", name, "stages", stage, *_, last):
            return f'in "{last}" of stage "{stage}" of profile "{name}"'
        case ("stages", name, *_, last):
            return f'in "{last}" of stage "{name}"'
        case ():
            return "at the top level"
    return f'in "{path[-1]}"'


def _unknown_key(path: tuple[Any, ...], mark: Mark) -> UnknownKey:
    *where, key = path
    match where:
        case []:
            known = keys(Pipeline)
        case ["profiles", _]:
            known = keys(Profile)
        case [*_, "retry"]:
            known = keys(Retry)
        case [("dask" | "ray" | "mpi") as cluster] | ["profiles", _, ("dask" | "ray" | "mpi") as cluster]:
            known = keys(_CLUSTERS[cluster])
        case [*_, "tls"]:
            known = keys(Tls)
        case _:
            known = keys(Stage)
    elsewhere = ""
    if len(where) == 2 and where[0] == "stages" and key in keys(Pipeline):
        elsewhere = "at the top level"
    elif not where and key in keys(Stage):
        elsewhere = "in a stage, or in defaults"
    return UnknownKey(mark=mark, key=str(key), where=_where(tuple(where)), known=known, elsewhere=elsewhere)


def _expected(error: ErrorDetails) -> tuple[str, ...]:
    """`'single', 'map' or 'zip'` as its words."""
    text = str(error.get("ctx", {}).get("expected", ""))
    return tuple(word.strip(" '") for word in text.replace(" or ", ",").split(","))


def _range(error: ErrorDetails) -> str:
    limits = error.get("ctx", {})
    if "gt" in limits:
        return f"more than {limits['gt']:g}"
    return f"at least {limits['ge']:g}" if "ge" in limits else f"at most {limits['le']:g}"


def _quoted(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else describe(value)


def _also(key: str, wants: str) -> str:
    """The other ways in which the value may be written."""
    match key:
        case "timeout" | "delay" | "max_delay":
            return "a span of time (30s, 5m, 1h30m, or seconds)"
        case "memory":
            return "a size (2GiB, 500MB, or bytes)"
        case "retry":
            return "a number, or a mapping with limit, delay, backoff, max_delay, jitter, on"
        case "chunk":
            return 'a whole number, or "auto"'
        case "needs" | "deps" | "outs" | "on" if wants == "a list":
            return "a name, or a list of names"
    return wants


def _cure(wants: str, got: object) -> str:
    if wants == "true or false" and isinstance(got, str) and got.lower() in ("yes", "no", "on", "off", "y", "n"):
        return f"write {'true' if got.lower() in ('yes', 'on', 'y') else 'false'}: YAML 1.2 reads {got} as text"
    if wants == "text" and isinstance(got, bool | int | float):
        return "put quotes around it"
    if wants in ("a number", "a whole number", "true or false") and isinstance(got, str):
        return "write it without quotes" if _looks_right(wants, got) else ""
    return ""


def _looks_right(wants: str, text: str) -> bool:
    return text.isdigit() if "number" in wants else text in ("true", "false")
