"""Whether a module's own imports lead somewhere: a misspelt one is found before the run, not in its first call."""

from __future__ import annotations

import os
import sys

from pipeline_runner.plan.preflight.finder import Finder
from pipeline_runner.plan.preflight.modules import Imported, Module, Unreadable, read


def doubtful(file: str, finder: Finder) -> bool:
    """Whether something that the module imports, or a module of the project that it imports, seems not to be there.

    A module of the project that is no Python is as good as none.

    Only what is imported whatever happens: under a condition, or inside a function, it may never be. That it seems
    not to be there is no proof (a module may add to sys.path before); whoever wants to know has to ask Python.
    """
    todo, seen = [file], {file}
    while todo:
        module = read(todo.pop())
        if isinstance(module, Unreadable):
            return True
        if module is None:
            continue
        for found in module.bound.values():
            for binding in found:
                imported = binding.value
                if not isinstance(imported, Imported) or not binding.always:
                    continue
                if imported.level:
                    near = _near(module.file, imported)
                    if not near:
                        return True
                    todo += (path for path in near if path not in seen)
                    seen.update(near)
                    continue
                top = imported.module.partition(".")[0]
                if top in sys.stdlib_module_names:
                    continue
                where = finder.file(imported.module)
                if where == "missing":
                    return True
                if where == "unread" or not where.startswith(finder.folder + os.sep):
                    continue
                if imported.name is not None and _lacks(where, imported, finder):
                    return True
                if where not in seen:
                    seen.add(where)
                    todo.append(where)
    return False


def _lacks(file: str, imported: Imported, finder: Finder) -> bool:
    """Whether a module of the project has not the name that is imported from it."""
    module = read(file)
    if not isinstance(module, Module) or imported.name == "*" or imported.name in module.bound or module.open:
        return False
    return finder.file(f"{imported.module}.{imported.name}") == "unread"


def _near(file: str, imported: Imported) -> tuple[str, ...]:
    """The files that a relative import reads: the module, or that of the name in it; none: one of them is not there."""
    folder = file
    for _ in range(imported.level):
        folder = os.path.dirname(folder)
    base = os.path.join(folder, *filter(None, imported.module.split(".")))
    owner = _readable(base)
    module = read(owner) if owner else None
    if isinstance(module, Unreadable) or imported.name in (None, "*"):
        return (owner,) if owner else ()
    if module is not None and (imported.name in module.bound or module.open):
        return (owner,)
    inner = _readable(os.path.join(base, str(imported.name)))
    return (inner,) if inner else ()


def _readable(base: str) -> str:
    return next((path for path in (f"{base}.py", os.path.join(base, "__init__.py")) if read(path) is not None), "")
