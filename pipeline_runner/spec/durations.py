"""Spans of time as people write them: `30s`, `5m`, `1h30m`, `500ms`, or a plain number of seconds."""

from __future__ import annotations

import re

_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_NUMBER = r"[0-9]{1,9}(\.[0-9]{1,9})?"

PATTERN = "^(?=[0-9])" + "".join(f"({_NUMBER}{unit})?" for unit in _SECONDS) + "$"
"""For the JSON Schema: what `seconds` reads."""

_WHOLE = "".join(f"(?:(?P<{unit}>[0-9]{{1,9}}(?:\\.[0-9]{{1,9}})?){unit})?" for unit in _SECONDS)


def seconds(text: str) -> float | None:
    """How long `1h30m` is, or None when the text is no duration."""
    match = re.fullmatch(_WHOLE, text)
    if not match or not text:
        return None
    return sum(float(match[unit]) * size for unit, size in _SECONDS.items() if match[unit])
