"""The table of methods: every backend file of this folder and every installed plug-in, found by looking."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module

from pipeline_runner.classes import dataclass
from pipeline_runner.methods import Backend, Method


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


@cache
def table() -> Table:
    """Build the table once. Errors: ValueError when two rows claim one name."""
    from importlib.metadata import entry_points  # 20 ms, and a run whose plan was kept needs no table
    from pkgutil import iter_modules

    here = [
        import_module(f"{__name__}.{info.name}") for info in iter_modules(__path__) if not info.name.startswith("_")
    ]
    found = [module.BACKEND for module in here if hasattr(module, "BACKEND")]
    found += [entry.load() for entry in entry_points(group="pipeline_runner.backends")]
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
