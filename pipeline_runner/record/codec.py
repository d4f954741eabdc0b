"""Events as JSON, and back: what the journal keeps is what was published."""

from __future__ import annotations

import json
from binascii import a2b_base64, b2a_base64
from functools import cache
from typing import Any

from pipeline_runner import events
from pipeline_runner.axes import Status
from pipeline_runner.calls import Cause, Failure
from pipeline_runner.classes import names
from pipeline_runner.events import Event


def encode(event: Event) -> str:
    """The event's fields as JSON."""
    return _as_json({name: _out(getattr(event, name)) for name in _names(type(event).__name__)})


_as_json = json.JSONEncoder(ensure_ascii=True).encode


@cache
def _names(kind: str) -> tuple[str, ...]:
    return names(_kinds()[kind])


def decode(kind: str, body: str) -> Event | None:
    """The event again; None for a kind that this version does not know. Errors: ValueError when it is damaged."""
    made = _kinds().get(kind)
    if made is None:
        return None
    given = json.loads(body)
    known = names(made)
    try:
        return made(**{name: _in(name, value) for name, value in given.items() if name in known})
    except (TypeError, AttributeError) as error:
        raise ValueError(f"a damaged {kind}: {error}") from error


@cache
def _kinds() -> dict[str, type[Event]]:
    found = (getattr(events, name) for name in dir(events))
    return {kind.__name__: kind for kind in found if isinstance(kind, type) and issubclass(kind, Event)}


_PLAIN = frozenset({str, int, float, bool, type(None)})


def _out(value: Any) -> Any:
    if type(value) in _PLAIN:
        return value
    match value:
        case range():
            return {"range": [value.start, value.stop]}
        case tuple():
            return [_out(one) for one in value]
        case Failure():
            told = {name: _out(getattr(value, name)) for name in Failure.__dataclass_fields__}
            return {
                **told,
                "pickled": None if value.pickled is None else b2a_base64(value.pickled, newline=False).decode(),
            }
        case Status() | Cause():
            return value.value
    return value


def _in(name: str, value: Any) -> Any:
    if name == "failure":
        pickled = value["pickled"]
        return Failure(
            **{
                **value,
                "cause": Cause(value["cause"]),
                "lineage": tuple(value["lineage"]),
                "pickled": None if pickled is None else a2b_base64(pickled),
            }
        )
    if name == "status":
        return Status(value)
    if isinstance(value, dict) and "range" in value:
        return range(*value["range"])
    return tuple(_in("", one) for one in value) if isinstance(value, list) else value
