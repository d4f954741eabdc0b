"""Amounts of memory as people write them: `2GiB`, `500 MB`, `1.5G`, or a plain number of bytes."""

from __future__ import annotations

import re

PATTERN = r"^[0-9]{1,15}(\.[0-9]{1,9})? ?([KMGT]i?)?B?$"
"""For the JSON Schema: what `size` reads."""

_WHOLE = r"(?P<number>[0-9]{1,15}(?:\.[0-9]{1,9})?) ?(?P<unit>[KMGT]i?)?B?"
_UNITS = {"K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}


def size(text: str) -> int | None:
    """How many bytes `2GiB` is, or None when the text is no size."""
    match = re.fullmatch(_WHOLE, text)
    if not match:
        return None
    return int(float(match["number"]) * _UNITS.get(match["unit"], 1))


def shown(size_bytes: float) -> str:
    """A size for people, in the units that are powers of 1024."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size_bytes < 1024:
            return f"{size_bytes:.4g} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.4g} TiB"
