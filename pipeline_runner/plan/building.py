"""Building something large, of which nothing is garbage."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def building() -> Iterator[None]:
    """Do not look for garbage in between. The more objects there are, the longer Python looks through all of them: at
    10,000 stages that was half of the time in which they are read and planned, and what made it grow faster than
    they."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
