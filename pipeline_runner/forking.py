"""No process is forked from the middle of an import.

A process that is forked while another thread imports a module has that module half made and its lock taken, by a
thread which it does not have: whoever imports it there waits for ever (in the storm of jumping clocks every
twentieth run or so, where a stage in our own process and a pool's workers import the same user's module at the same
time). So a fork waits until nobody imports. Where that takes too long (an import that itself waits for us), or a run is
to end at once, the child lets go of what is half made and imports it anew.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from importlib import import_module

from pipeline_runner.typed import Any

PATIENCE_S = 10.0  # longer than modules take to import, a large one's GPU libraries too
LOOK_S = 0.002
_hurried: set[object] = set()  # runs that are to end
_bootstrap: Any = import_module("importlib._bootstrap")  # the locks of modules have no public name


def hurry(run: object) -> None:
    """Let no fork wait from now on: this run is to end, and cannot before all that it has begun to launch is there."""
    _hurried.add(run)


def hurry_no_more(run: object) -> None:
    """It has ended."""
    _hurried.discard(run)


def wait_for_imports() -> None:
    """Before a fork: until no other thread imports, or the patience is at its end."""
    until = time.monotonic() + PATIENCE_S
    while any(_imported_elsewhere()) and not _hurried and time.monotonic() < until:
        time.sleep(LOOK_S)


def let_go_of_imports() -> None:
    """In the child: of modules that were half made, and of their locks."""
    for name in _imported_elsewhere():
        del _bootstrap._module_locks[name]
        if getattr(getattr(sys.modules.get(name), "__spec__", None), "_initializing", False):
            del sys.modules[name]


def _imported_elsewhere() -> Iterator[str]:
    """Names of the modules that other threads are importing."""
    me = threading.get_ident()
    for name, reference in list(_bootstrap._module_locks.items()):
        lock = reference()
        if lock is not None and lock.owner not in (None, me):
            yield name
