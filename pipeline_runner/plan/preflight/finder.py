"""Where the files of modules are, found as a worker's `import` would find them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder

from pipeline_runner.classes import dataclass, field
from pipeline_runner.typed import Literal
from pipeline_runner.witness import saw

Elsewhere = Literal["missing", "unread"]  # there is no such module; it is there, or may be, but not as a file to read


@dataclass(frozen=True)
class Finder:
    """Finds the files of modules where a worker's `import` would."""

    folder: str
    path: tuple[str, ...]  # a worker's sys.path
    _found: dict[str, str | Elsewhere] = field(default_factory=dict, repr=False, compare=False)

    def file(self, name: str) -> str | Elsewhere:
        """The file of a module, or why there is none to read."""
        if name not in self._found:
            self._found[name] = self._find(name)
            saw("module", name, self.folder, answer=self._found[name])
        return self._found[name]

    def is_there(self, top: str) -> bool:
        return top in sys.stdlib_module_names or self.file(top) != "missing"

    def _find(self, name: str) -> str | Elsewhere:
        path: Sequence[str] | None = self.path
        spec: ModuleSpec | None = None
        parts = name.split(".")
        for count in range(1, len(parts) + 1):
            if path is None:
                return "unread"
            # By its last name: of a folder without an `__init__` within another, Python would look up the outer one
            # among what this process has imported.
            inner = parts[count - 1]
            spec = PathFinder.find_spec(inner, path) or (_by_others(inner) if count == 1 else None)
            if spec is None:
                return "missing" if count == 1 else "unread"
            path = _inside(spec, parts[count - 1], path)
        origin = spec.origin if spec is not None and spec.has_location else None
        return origin if origin is not None and origin.endswith(".py") and os.path.isfile(origin) else "unread"


def _inside(spec: ModuleSpec, name: str, path: Sequence[str]) -> list[str] | None:
    """Where the modules of a package are; None: it is none.

    What a spec says of a package without an __init__ is looked for anew, on the path of this very process, whenever
    anybody forgets what was found before.
    """
    if spec.submodule_search_locations is None:
        return None
    if spec.loader is not None and spec.origin is not None:
        return list(spec.submodule_search_locations)
    return [place for entry in path if os.path.isdir(place := os.path.join(entry, name))]


def _by_others(top: str) -> ModuleSpec | None:
    """What the finders of editable installs and the like say."""
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        if find is None or finder is PathFinder:
            continue
        try:
            spec: ModuleSpec | None = find(top, None)
        except Exception:  # a finder is anybody's code
            continue
        if spec is not None:
            return spec
    return None
