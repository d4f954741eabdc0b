"""Takes keys that are surely right as they are, without pydantic, which takes longer to import than a small run.

It never says that something is wrong: whatever it does not surely know, the models check and tell. What it takes
means what they would have made of it; a test holds this table to the models, and both to the same values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from enum import StrEnum
from math import isfinite
from types import SimpleNamespace

from pipeline_runner.axes import Dispatch, OnError, Returns, StartMethod, Style
from pipeline_runner.backends import table
from pipeline_runner.spec import durations, sizes
from pipeline_runner.spec.words import backend_words
from pipeline_runner.syntax.expressions import Expression, Reference, Text
from pipeline_runner.typed import Any

Taken = Callable[[Any], Any]


class Unsure(Exception):
    """The models have to look at it."""


def ordinary(kind: str, values: Mapping[Any, Any]) -> Any:
    """What the model of this name would make of these values, as far as it is read. Errors: Unsure."""
    return _OF_KIND[kind](values)


# ------------------------------------------------------------------------------------------- single values


def _if(sure: bool, value: Any) -> Any:
    if not sure:
        raise Unsure
    return value


def _text(value: Any) -> Any:
    return _if(type(value) is str, value)


def _word(value: Any) -> Any:
    return _if(type(value) is str and value != "", value)


def _variable(value: Any) -> Any:
    return _if(type(value) is str and value != "" and "=" not in value and "\0" not in value, value)


def _flag(value: Any) -> Any:
    return _if(type(value) is bool, value)


def _count(value: Any) -> Any:
    return _if(type(value) is int and value >= 1, value)


def _whole(value: Any) -> Any:
    return _if(type(value) is int, value)


def _number(value: Any) -> Any:
    return float(
        _if((type(value) is float and isfinite(value)) or (type(value) is int and abs(value) < 1 << 53), value)
    )


def _from(least: float, take: Taken = _number) -> Taken:
    def taken(value: Any) -> Any:
        number = take(value)
        return _if(number >= least, number)

    return taken


def _span(value: Any) -> Any:
    found = durations.seconds(value) if type(value) is str else _number(value)
    return _if(found is not None and found >= 0, found)


def _long_span(value: Any) -> Any:
    return _if((found := _span(value)) > 0, found)


def _size(value: Any) -> Any:
    return _count(sizes.size(value) if type(value) is str else value)


def _one_of(words: type[StrEnum]) -> Taken:
    known = {str(word): word for word in words}

    def taken(value: Any) -> Any:
        found = known.get(_text(value))
        return _if(found is not None, found)

    return taken


def _method(value: Any) -> Any:
    return _if(type(value) is str and table().find(value) is not None, value)


def _backend(value: Any) -> Any:
    return _if(type(value) is str and value in backend_words(), value)


def _path(value: Any) -> Any:
    return _if(isinstance(value, Reference | Expression | Text) or (type(value) is str and value != ""), value)


def _simple(value: Any) -> Any:
    return _if(value is None or type(value) in (str, int, bool) or (type(value) is float and isfinite(value)), value)


def _as_is(value: Any) -> Any:
    return value


# ------------------------------------------------------------------------------------------- of several


def _or_none(take: Taken) -> Taken:
    return lambda value: None if value is None else take(value)


def _list(take: Taken) -> Taken:
    return lambda value: [take(one) for one in _if(type(value) is list, value)]


def _mapping(take: Taken, name: Taken = _word) -> Taken:
    return lambda value: {name(key): take(one) for key, one in _if(type(value) is dict, value).items()}


def _several(take: Taken) -> Taken:
    some = _list(take)
    return lambda value: some(value if type(value) is list else [value])


def _tokens(value: Any) -> Any:
    return _mapping(_count)(value if type(value) is dict else dict(Counter(_several(_text)(value))))


def _retry(value: Any) -> Any:
    return _keys(_RETRY, _RETRY_LEFT_OUT)(value if type(value) is dict else {"limit": value})


def _keys(table: Mapping[str, Taken], left_out: Mapping[str, Any]) -> Taken:
    """A mapping of no other keys than these; of those that are not there, the class says what they are then."""
    keys = type("Keys", (SimpleNamespace,), dict(left_out))

    def taken(value: Any) -> SimpleNamespace:
        values = _if(type(value) is dict and value.keys() <= table.keys(), value)
        found: SimpleNamespace = keys(**{_ATTRIBUTE.get(key, key): table[key](one) for key, one in values.items()})
        return found

    return taken


def _left_out(table: Mapping[str, Taken], **others: Any) -> dict[str, Any]:
    return {**{_ATTRIBUTE.get(key, key): None for key in table}, **others}


_ATTRIBUTE = {"with": "with_", "if": "if_"}
_RETRY: Mapping[str, Taken] = {
    "limit": _from(0, _whole),
    "delay": _span,
    "backoff": _from(1),
    "max_delay": _or_none(_span),
    "jitter": lambda value: _if((share := _from(0)(value)) <= 1, share),
    "on": _several(_text),
}
_RETRY_LEFT_OUT: Mapping[str, Any] = {
    "limit": 1,
    "delay": 0.0,
    "backoff": 1.0,
    "max_delay": None,
    "jitter": 0.0,
    "on": [],
}
STAGE: Mapping[str, Taken] = {
    **dict.fromkeys(("run", "over", "with", "if", "salt"), _as_is),
    **dict.fromkeys(("call", "setup", "workdir", "description"), _or_none(_text)),
    **dict.fromkeys(("shortest", "cache", "allow_outside"), _or_none(_flag)),
    **dict.fromkeys(("workers", "window", "max_calls_per_worker", "threads"), _or_none(_count)),
    **dict.fromkeys(("deps", "outs"), _or_none(_several(_path))),
    "pipeline": _or_none(_word),
    "params": _or_none(_mapping(_as_is)),
    "args": _or_none(_one_of(Style)),
    "dispatch": _or_none(_one_of(Dispatch)),
    "returns": _or_none(_one_of(Returns)),
    "method": _or_none(_method),
    "backend": _or_none(_backend),
    "needs": _several(_text),
    "retry": _or_none(_retry),
    "timeout": _or_none(_long_span),
    "on_error": _or_none(_one_of(OnError)),
    "chunk": lambda value: None if type(value) is str and value == "auto" else _or_none(_count)(value),
    "start_method": _or_none(_one_of(StartMethod)),
    "setup_with": _or_none(_mapping(_as_is, _text)),
    "limits": _or_none(_tokens),
    "memory": _or_none(_size),
    "priority": _or_none(_whole),
    "stdout": _or_none(lambda value: _if(_text(value) in ("text", "lines", "json", "none"), value)),
    "env": _or_none(_mapping(_simple, _variable)),
}
_stage = _keys(STAGE, _left_out(STAGE, needs=[]))
_BOTH: Mapping[str, Taken] = {
    "name": _or_none(_word),
    "description": _or_none(_text),
    "params": _or_none(_mapping(_as_is)),
    "env": _or_none(_mapping(_simple, _variable)),
    "workers": _or_none(_count),
    "limits": _or_none(_mapping(_count)),
    "defaults": _or_none(_stage),
    "secrets": _or_none(_several(_word)),
}
PROFILE: Mapping[str, Taken] = {
    **_BOTH,
    **dict.fromkeys(("on_success", "on_failure"), _as_is),
    "stages": _or_none(_mapping(_stage, _text)),
}
PIPELINE: Mapping[str, Taken] = {  # hooks, profiles and included files are rare, or are checked by themselves
    **_BOTH,
    "version": lambda value: _if(type(value) is int and value == 1, value),
    "stages": lambda value: _if(bool(value), _mapping(_stage, _stage_name)(value)),
}
_pipeline = _keys(PIPELINE, _left_out(PIPELINE, version=1))
_profile = _keys(PROFILE, _left_out(PROFILE))


def _stage_name(value: Any) -> Any:
    # Those of ASCII: the pattern of all of them takes 5 ms to compile.
    sure = type(value) is str and value.isascii() and value.replace("-", "_").isidentifier() and value[0] != "-"
    return _if(sure, value)


_OF_KIND: Mapping[str, Taken] = {
    "Stage": _stage,
    "Profile": _profile,
    "Pipeline": lambda values: _pipeline(_if("stages" in values, values)),
}
