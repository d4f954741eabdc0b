"""How a process ends that has only run our own code: at once, without taking apart what its end takes away anyhow.

That takes the interpreter a twentieth of a small run. Nobody would miss it but who has left a file open; so where
anybody else's code has run here, a function of a stage, a module of a value that was read, a debugger, it ends as ever.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Set
from types import FrameType

from pipeline_runner.typed import Any

# Besides the standard library: multiprocessing has another name for the script, and PyYAML brings what is Cython's.
KNOWN = frozenset(("pipeline_runner", "__mp_main__", "yaml", "_yaml", "cython_runtime"))


def part(code: object, there: Set[str]) -> None:
    """End with this exit code, if nobody minds. `there`: the modules that Python itself had imported.

    In the order in which `multiprocessing` ends its workers: threads, exit handlers, what is still to be written.
    """
    if not isinstance(code, int | None) or not _ours_alone(there) or _somebody_below(sys._getframe(2)):
        return
    threads: Any = threading
    try:
        threads._shutdown()
        atexit._run_exitfuncs()
        for file in filter(None, (sys.stdout, sys.stderr)):
            file.flush()
    except (OSError, ValueError):  # nobody reads it: the interpreter has an exit code of its own for that
        return
    os._exit(code or 0)


def _ours_alone(there: Set[str]) -> bool:
    """Whether no function of a user's was looked for here, and no module of anybody else's was imported."""
    functions: Any = sys.modules.get("pipeline_runner.worker.functions")
    roots = {name.partition(".")[0] for name in sys.modules.keys() - there}
    others = roots - sys.stdlib_module_names - KNOWN
    return all(name.startswith("_cython_") for name in others) and not (functions and functions.found_here)


def _somebody_below(frame: FrameType | None) -> bool:
    """Whether this is run by a profiler, say, that waits for the end: other code than a script, or what runs `-m`."""
    while frame is not None:
        if frame.f_code.co_name != "<module>" and frame.f_code.co_filename != "<frozen runpy>":
            return True
        frame = frame.f_back
    return False
