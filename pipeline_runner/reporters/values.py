"""A run's results as text, for people."""

from __future__ import annotations

import json

from pipeline_runner.reporters.plain import plain
from pipeline_runner.typed import Any

MOST = 4000  # characters of a value that are shown


def shown(name: str, value: Any) -> str:
    """A stage's value under its name, cut when it is long. A page of text is shown as it is."""
    if isinstance(value, str) and "\n" in value and all(line.isprintable() for line in value.split("\n")):
        return f"{name}:\n\n{value}\n"
    text = plain(_laid_out(value))
    if len(text) > MOST:
        text = f"{text[:MOST]}… ({len(text)} characters; `--json` gives all of it)"
    return f"{name}: {text}" if "\n" not in text else f"{name}:\n  " + text.replace("\n", "\n  ")


_as_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def _laid_out(value: Any) -> str:
    try:
        text = _as_json(value)
        # laying out half a million numbers takes seconds, and all but a page is cut
        if not 100 < len(text) < 10 * MOST:
            return text
    except (TypeError, ValueError, RecursionError):
        pass
    from pprint import pformat

    try:
        return pformat(value, width=100, compact=True, sort_dicts=False)
    except Exception as error:  # a user's __repr__ may raise anything
        return unshown(value, error)


def unshown(value: Any, error: Exception) -> str:
    """What is told instead of a value whose repr raised."""
    return f"(cannot be shown: {type(error).__name__} in the repr of {type(value).__name__}, or of what is in it)"
