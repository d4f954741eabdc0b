"""Keeps Python from reading what it compiled before an edit.

Python takes a compiled module for good as long as its source has the same size and was changed in the same second. A
module that is compiled by a run and edited at once would be run again as it was, for a result that is kept as the
edited one's. So what has only just been changed is compiled, and not written down.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from importlib.machinery import SourceFileLoader

from pipeline_runner.typed import Any

SETTLED_S = 2.0  # after which another change has another time, by the coarsest clock that Python looks at


def keep_only_what_is_settled() -> None:
    """From now on, in this process."""
    write: Callable[..., Any] = getattr(SourceFileLoader, _WRITE)
    if write is not _written_if_settled:
        setattr(SourceFileLoader, _WRITE, _written_if_settled)


_WRITE = "_cache_bytecode"
_write: Callable[..., Any] = getattr(SourceFileLoader, _WRITE)


def _written_if_settled(loader: SourceFileLoader, source_path: str, bytecode_path: str, data: bytes) -> None:
    try:
        age_s = time.time() - os.stat(source_path).st_mtime
    except OSError:
        return
    if age_s > SETTLED_S:
        _write(loader, source_path, bytecode_path, data)
