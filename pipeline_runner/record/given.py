"""What a run was given, as its journal keeps it: sealed, for whoever resumes the run gives it again, and a parameter
that was damaged would be a value like any other."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pipeline_runner.record.seal import intact, seal
from pipeline_runner.typed import Any

_GIVEN = ("given", "parts", "profile")
_NOTHING: dict[str, Any] = {"given": {}, "parts": [], "profile": None}
_SEAL = "seal"


def sealed(key: bytes, run: str, about: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept about a run, with a seal on what it was given."""
    return {**about, _SEAL: seal(key, run, _text(about)).hex()}


def doubtful(key: bytes, run: str, about: Mapping[str, Any]) -> bool:
    """Whether it cannot be known any more what a run was given. Where nothing was, there is nothing to doubt."""
    if _SEAL not in about or {name: about.get(name) for name in _GIVEN} == _NOTHING:
        return False
    try:
        return not intact(key, bytes.fromhex(about[_SEAL]), run, _text(about))
    except (TypeError, ValueError):
        return True


def _text(about: Mapping[str, Any]) -> str:
    return json.dumps({name: about.get(name) for name in _GIVEN}, sort_keys=True)
