"""A run's results as text, for people."""

from __future__ import annotations

import json
from pprint import pformat
from typing import Any

MOST = 4000  # characters of a value that are shown


def shown(name: str, value: Any) -> str:
    """A stage's value under its name, cut when it is long. A page of text is shown as it is."""
    if isinstance(value, str) and "\n" in value and all(line.isprintable() for line in value.split("\n")):
        return f"{name}:\n\n{value}\n"
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        if 100 < len(text) < 10 * MOST:  # laying out half a million numbers takes seconds, and all but a page is cut
            text = pformat(value, width=100, compact=True, sort_dicts=False)
    except (TypeError, ValueError, RecursionError):
        text = pformat(value, width=100, compact=True, sort_dicts=False)
    if len(text) > MOST:
        text = f"{text[:MOST]}… ({len(text)} characters; `--json` gives all of it)"
    return f"{name}: {text}" if "\n" not in text else f"{name}:\n  " + text.replace("\n", "\n  ")
