"""Imports `pathlib` without what Python before 3.13 imports with it: URLs and addresses of networks, for one method of
its paths. They take two thirds of the time, a twentieth of a script. Whoever calls that method gets them then."""

from __future__ import annotations

import sys
import threading
from types import ModuleType

from pipeline_runner.typed import Any

NAME = "urllib.parse"


def import_pathlib() -> None:
    """Where there is one thread: another might import them just then."""
    there = NAME in sys.modules or "pathlib" in sys.modules
    if sys.version_info >= (3, 13) or there or threading.active_count() > 1:
        return
    stand_in: Any = ModuleType(NAME)
    stand_in.quote_from_bytes = _quoted
    sys.modules[NAME] = stand_in
    try:
        import pathlib  # noqa: F401
    finally:
        del sys.modules[NAME]


def _quoted(*given: Any) -> str:
    """For `as_uri`."""
    from urllib.parse import quote_from_bytes

    return quote_from_bytes(*given)
