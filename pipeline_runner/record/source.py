"""What a function's result depends on in the project's own code: its source and all that it reaches.

The source is read, never imported. From the function on, every name that it uses is followed to
the definition at the top of its module, and into modules of the project folder; the standard
library and installed packages are taken as they are. What runs at import (a call at the top of a
module, say) belongs to every function of it.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path


def source_recipe(kind: str, place: str, attribute: str, folder: Path) -> bytes | None:
    """The hash of all that `place:attribute` reaches; None when its source cannot be read.

    A module that is not the project's is its name and, where it says one, its version.
    """
    file = _file(kind, place, folder)
    if file is None:
        return hashlib.sha256(f"installed {place}:{attribute}".encode()).digest() if kind == "module" else None
    walk = _Walk(folder)
    if not walk.reach(file, attribute.partition(".")[0]):
        return None
    told = sorted(walk.texts)
    return hashlib.sha256("\n".join([attribute, *told]).encode("utf-8", "surrogatepass")).digest()


def whole_recipe(file: Path, folder: Path) -> bytes | None:
    """The hash of a whole module of the project, and of all that it reaches; None when it cannot be read."""
    walk = _Walk(folder)
    if not walk.reach(file, None):
        return None
    return hashlib.sha256("\n".join(sorted(walk.texts)).encode("utf-8", "surrogatepass")).digest()


def _file(kind: str, place: str, folder: Path) -> Path | None:
    if kind == "file":
        path = folder / place
        return path if path.is_file() else None
    return _module_file(place, folder)


def _module_file(name: str, folder: Path) -> Path | None:
    """The file of a module of the project; None for one of the standard library or of an installed package."""
    if name.partition(".")[0] in sys.stdlib_module_names:
        return None
    base = folder.joinpath(*name.split("."))
    return next((path for path in (base / "__init__.py", base.with_suffix(".py")) if path.is_file()), None)


@dataclass(frozen=True)
class _Module:
    """A module's top: where each name is defined, and what runs whoever imports it."""

    defined: dict[str, list[ast.stmt]]
    imported: dict[str, tuple[str, str | None]]  # name → (module, attribute or None for the module itself)
    always: list[ast.stmt]
    stars: list[str]  # modules from which everything is imported


@dataclass
class _Walk:
    folder: Path
    texts: set[str] = field(default_factory=set)
    _seen: set[tuple[Path, str | None]] = field(default_factory=set)

    def reach(self, file: Path, name: str | None) -> bool:
        """Follow a name of a file (None: all of them). False when the file cannot be read as Python, or has no such
        name that could be found by reading."""
        todo: list[tuple[Path, str | None]] = [(file, name)]
        found_first = None
        while todo:
            at, what = todo.pop()
            if (at, what) in self._seen:
                continue
            self._seen.add((at, what))
            module = _read(at, _stamp(at), self.folder)
            if module is None:
                return False
            ok = what is None or what in module.defined or what in module.imported or bool(module.stars)
            found_first = ok if found_first is None else found_first
            todo += self._follow(at, module, what)
        return bool(found_first)

    def _follow(self, file: Path, module: _Module, what: str | None) -> Iterator[tuple[Path, str | None]]:
        statements = list(module.always)
        if what is None:
            statements += [s for found in module.defined.values() for s in found]
            names = set(module.imported)
        else:
            statements += module.defined.get(what, [])
            names = {what}
        here = str(file.relative_to(self.folder)) if file.is_relative_to(self.folder) else str(file)
        for statement in statements:
            self.texts.add(f"{here}: {_text(statement)}")
            names |= {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
            for inner in ast.walk(statement):  # an import inside of a function
                if isinstance(inner, ast.Import | ast.ImportFrom):
                    yield from self._modules(file, _imports(inner, file, self.folder).values())
        for name in names:
            if name in module.imported:
                self.texts.add(f"{here}: {name} is {module.imported[name]}")
                yield from self._modules(file, [module.imported[name]])
            elif name in module.defined:
                yield file, name
        for star in module.stars:
            yield from self._modules(file, [(star, None)])

    def _modules(self, file: Path, imported: object) -> Iterator[tuple[Path, str | None]]:
        for name, attribute in imported:  # type: ignore[attr-defined]
            if attribute is not None:
                inner = _module_file(f"{name}.{attribute}", self.folder)
                if inner is not None:
                    yield inner, None
                    continue
            found = _module_file(name, self.folder)
            if found is not None and found != file:
                yield found, attribute


def _stamp(file: Path) -> tuple[int, int]:
    try:
        status = file.stat()
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=512)
def _read(file: Path, stamp: tuple[int, int], folder: Path) -> _Module | None:
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None
    defined: dict[str, list[ast.stmt]] = {}
    imported: dict[str, tuple[str, str | None]] = {}
    always: list[ast.stmt] = []
    stars: list[str] = []
    for statement in tree.body:
        match statement:
            case ast.Import() | ast.ImportFrom():
                for name, origin in _imports(statement, file, folder).items():
                    if name == "*":
                        stars.append(origin[0])
                    else:
                        imported[name] = origin
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                defined.setdefault(name, []).append(statement)
            case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
                names = _bound(statement)
                for name in names:
                    defined.setdefault(name, []).append(statement)
                if not names:
                    always.append(statement)
            case ast.Expr(value=ast.Constant()):
                pass  # a docstring
            case ast.If(test=test) if ast.unparse(test) == "__name__ == '__main__'":
                pass  # does not run at import
            case _:
                always.append(statement)
                for name in _bound(statement):
                    defined.setdefault(name, []).append(statement)
    return _Module(defined, imported, always, stars)


def _bound(statement: ast.stmt) -> set[str]:
    """Names that a statement gives a value."""
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def _imports(statement: ast.Import | ast.ImportFrom, file: Path, folder: Path) -> dict[str, tuple[str, str | None]]:
    """Names that an import binds, with where they come from."""
    if isinstance(statement, ast.Import):
        return {alias.asname or alias.name.partition(".")[0]: (alias.name, None) for alias in statement.names}
    module = statement.module or ""
    if statement.level:  # relative: from the file's own package
        package = file.parent
        for _ in range(statement.level - 1):
            package = package.parent
        try:
            prefix = ".".join(package.relative_to(folder).parts)
        except ValueError:
            prefix = ""
        module = ".".join(part for part in (prefix, module) if part)
    return {alias.asname or alias.name: (module, alias.name) for alias in statement.names}


def _text(statement: ast.stmt) -> str:
    """A statement without comments, formatting and docstrings."""
    return ast.dump(_Undocumented().visit(ast.parse(ast.unparse(statement))))


class _Undocumented(ast.NodeTransformer):
    def _strip(self, node: ast.AST) -> ast.AST:
        self.generic_visit(node)
        match getattr(node, "body", []):
            case [ast.Expr(value=ast.Constant(value=str())), *rest]:
                node.body = rest or [ast.Pass()]  # type: ignore[attr-defined]
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = visit_Module = _strip
