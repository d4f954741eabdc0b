"""Events as JSON, and back: what the journal keeps is what was published.

A row may tell several: how a stage began, and that its calls were reused, are in the row of its end where all of it was
one turn of the engine.
"""

from __future__ import annotations

import json
from binascii import a2b_base64, b2a_base64
from collections.abc import Sequence
from functools import cache

from pipeline_runner import events
from pipeline_runner.axes import Status
from pipeline_runner.calls import Cause, Failure
from pipeline_runner.classes import names
from pipeline_runner.events import Event
from pipeline_runner.typed import Any

BEFORE = "before"  # beside an event's fields: what happened to the same stage just before it, each with its kind


def encode(event: Event, before: Sequence[Event] = ()) -> str:
    """The event's fields as JSON."""
    if before:
        return _as_json({**vars(event), BEFORE: [[type(one).__name__, vars(one)] for one in before]})
    return _as_json(vars(event))


def decode(kind: str, body: str) -> list[Event]:
    """All that a row tells, in the order in which it happened, without what this version does not know. Errors:
    ValueError when it is damaged."""
    given = json.loads(body)
    try:
        told = [*given.get(BEFORE, ()), (kind, given)]
        return [_event(its_kind, its_fields) for its_kind, its_fields in told if its_kind in _kinds()]
    except (TypeError, AttributeError) as error:
        raise ValueError(f"a damaged {kind}: {error}") from error


def _event(kind: str, given: Any) -> Event:
    made = _kinds()[kind]
    known = names(made)
    return made(**{name: _in(name, value) for name, value in given.items() if name in known})


@cache
def _kinds() -> dict[str, type[Event]]:
    found = (getattr(events, name) for name in dir(events))
    return {kind.__name__: kind for kind in found if isinstance(kind, type) and issubclass(kind, Event)}


def _out(value: Any) -> Any:
    """What JSON has no word for."""
    match value:
        case range():
            return {"range": [value.start, value.stop]}
        case Failure():
            told = {name: getattr(value, name) for name in Failure.__dataclass_fields__}
            return {**told, "pickled": None if value.pickled is None else _packed(value.pickled)}
    raise TypeError(f"an event has a {type(value).__name__}: this is our bug")


def _packed(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode()


# Made of no value that holds itself.
_as_json = json.JSONEncoder(check_circular=False, default=_out).encode


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
