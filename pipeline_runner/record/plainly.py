"""Kept values that are read without anybody's classes: numbers, text, and lists, mappings and sets of such.

To unpickle anything else imports modules and runs what they say, which is for the run to do and not for a look ahead.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterable

from pipeline_runner.calls import Pack
from pipeline_runner.typed import Any, NoReturn

MOST = 1 << 22  # bytes of pickles: about a million numbers, and nobody waits for more to be told how many there are


def plain_values(packs: Iterable[Pack | None]) -> list[Any] | None:
    """The values of all packs; None where some are not kept, not plain, or too many to look at."""
    found: list[Any] = []
    size = 0
    for pack in packs:
        size += 0 if pack is None else pack.size_bytes
        if pack is None or pack.large is not None or size > MOST:
            return None
        try:
            found += _Plain(io.BytesIO(pack.data)).load()[pack.start : pack.stop]
        except (pickle.UnpicklingError, EOFError):
            return None
    return found


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"{module}.{name} is not plain")
