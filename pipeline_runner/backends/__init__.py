"""The table of methods: every backend file of this folder and every installed plug-in, found by looking."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module

from pipeline_runner.classes import dataclass
from pipeline_runner.methods import Backend, Method

GROUP = "pipeline_runner.backends"


@dataclass(frozen=True)
class Table:
    """All methods by canonical name, with the names by which people call them."""

    backends: tuple[Backend, ...]
    owners: Mapping[str, Backend]  # canonical method name → its backend
    methods: Mapping[str, Method]  # canonical name → row
    names: Mapping[str, str]  # canonical name or alias → canonical name

    def __iter__(self) -> Iterator[Method]:
        return iter(self.methods.values())

    def find(self, name: str) -> Method | None:
        """The row that a user's name means, or None."""
        canonical = self.names.get(name)
        return self.methods[canonical] if canonical else None

    @property
    def keywords(self) -> tuple[str, ...]:
        """What `backend:` may say."""
        return tuple(dict.fromkeys(backend.keyword for backend in self.backends))


def _plugged_in() -> list[Backend]:
    """Those of installed plug-ins."""
    if not any(map(_may_plug_in, sys.path)):
        return []
    from importlib.metadata import entry_points  # as long to import as twenty modules of ours

    return [entry.load() for entry in entry_points(group=GROUP)]


def _may_plug_in(folder: str) -> bool:
    """Whether something is installed there that names our group of entry points."""
    try:
        about = [name for name in os.listdir(folder or ".") if name.endswith((".dist-info", ".egg-info", "EGG-INFO"))]
    except NotADirectoryError:  # a zip: who knows
        return True
    except OSError:
        return False
    return any(_names_group(os.path.join(folder, name, "entry_points.txt")) for name in about)


def _names_group(path: str) -> bool:
    try:
        with open(path, "rb") as told:
            return GROUP.encode() in told.read()
    except OSError:
        return False


@cache
def table() -> Table:
    """Build the table once. Errors: ValueError when two rows claim one name."""
    files = [name for folder in __path__ for name in os.listdir(folder)]
    here = [
        import_module(f"{__name__}.{name[:-3]}") for name in sorted(files) if name.endswith(".py") and name[0] != "_"
    ]
    found = [module.BACKEND for module in here if hasattr(module, "BACKEND")]
    found += _plugged_in()
    backends = tuple(sorted(found, key=lambda backend: (backend.rank, backend.name)))
    owners: dict[str, Backend] = {}
    methods: dict[str, Method] = {}
    names: dict[str, str] = {}
    for backend in backends:
        for method in backend.methods:
            owners[method.name] = backend
            methods[method.name] = method
            for name in (method.name, *method.aliases):
                if names.setdefault(name, method.name) != method.name:
                    raise ValueError(f'two methods are called "{name}": {names[name]} and {method.name}')
    return Table(backends, owners, methods, names)
