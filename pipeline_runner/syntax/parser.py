"""PyYAML, its patterns compiled when they are first used: only what it has in Python needs them, and that we never use.

One of them, a set of characters said by what it leaves out, takes two fifths of an interpreter's start to compile.
"""

from __future__ import annotations

import re
import sys
import threading

from pipeline_runner.typed import Any

__all__ = ["yaml"]


class _Late:
    """Stands for a pattern until something is asked of it."""

    _made: Any = None

    def __init__(self, *given: Any) -> None:
        self._given = given

    def __getattr__(self, name: str) -> Any:
        if self._made is None:
            self._made = _compile(*self._given)
        return getattr(self._made, name)


_compile = re.compile

# Another thread that compiles one just then would be given what is not quite a pattern.
if "yaml" in sys.modules or threading.active_count() > 1:
    import yaml
else:
    library: Any = re
    library.compile = _Late
    try:
        import yaml
    finally:
        library.compile = _compile
