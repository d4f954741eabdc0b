"""What a Python file defines at its top, found by reading it: nothing of the user's is imported in this process."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable, Iterator
from functools import cached_property, lru_cache

from pipeline_runner.classes import dataclass, field
from pipeline_runner.witness import contents, heard, saw

Definition = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Imported:
    """What an import binds: a module, or a name of one."""

    module: str
    name: str | None
    level: int = 0  # dots before the module


@dataclass(frozen=True)
class Binding:
    """A statement that gives a name its value."""

    value: ast.AST | Imported
    line: int
    always: bool  # not under a condition, and not among others


@dataclass(frozen=True, eq=False)
class Module:
    """A file that was read."""

    file: str
    tree: ast.Module = field(repr=False)

    @cached_property
    def bound(self) -> dict[str, list[Binding]]:
        """What its top gives each name, in the order of the file."""
        return bindings(self.tree.body)

    @cached_property
    def open(self) -> bool:
        """Whether it may have names that no reader can see."""
        return "*" in self.bound or "__getattr__" in self.bound or any(map(_makes_names, ast.walk(self.tree)))

    @property
    def callables(self) -> tuple[str, ...]:
        """Names that are worth to be suggested."""
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
        return tuple(
            name
            for name, found in self.bound.items()
            if isinstance(found[-1].value, kinds) and not name.startswith("_")
        )


@dataclass(frozen=True)
class Unreadable:
    """A file that is no Python: where, and why."""

    file: str
    line: int
    text: str  # the line
    why: str


def read(file: str) -> Module | Unreadable | None:
    """The module of a file, read once as long as nobody writes to it; None: it cannot be opened."""
    if heard():
        saw("contents", file, answer=contents(file))  # before it is read: if it is just being written, that shows later
    try:
        status = os.stat(file)
    except OSError:
        return None
    return _read(file, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=256)
def _read(file: str, written: int, size: int) -> Module | Unreadable | None:
    try:
        with open(file, "rb") as opened:
            return Module(file, ast.parse(opened.read(), file))
    except SyntaxError as error:
        return Unreadable(file, error.lineno or 1, (error.text or "").rstrip("\n"), error.msg)
    except ValueError as error:  # a NUL in it
        return Unreadable(file, 1, "", str(error))
    except (OSError, RecursionError, MemoryError):
        return None


def bindings(body: Iterable[ast.stmt]) -> dict[str, list[Binding]]:
    """What the statements of a module, or of a class, give each name."""
    found: dict[str, list[Binding]] = {}
    for statement in body:
        for name, value, always in _given(statement):
            found.setdefault(name, []).append(Binding(value, statement.lineno, always))
    return found


def _given(statement: ast.stmt) -> Iterator[tuple[str, ast.AST | Imported, bool]]:
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name, statement, True
        case ast.Import() | ast.ImportFrom():
            for name, imported in imports(statement):
                yield name, imported, True
        case ast.Assign(targets=targets, value=value) if all(isinstance(target, ast.Name) for target in targets):
            yield from ((target.id, value, True) for target in targets if isinstance(target, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            yield name, value, True
        case ast.If(test=test) if _is_script(test):
            return
        case _:
            for node in ast.walk(statement):
                for name in _names(node):
                    yield name, statement, False


def _names(node: ast.AST) -> Iterator[str]:
    """Names that a node inside a statement may bind; too many rather than too few."""
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            yield name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.Import() | ast.ImportFrom():
            yield from (name for name, _ in imports(node))
        case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name


def imports(statement: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, Imported]]:
    """Each name that an import binds, and what it stands for; "*" for all of a module's."""
    for alias in statement.names:
        if isinstance(statement, ast.ImportFrom):
            yield alias.asname or alias.name, Imported(statement.module or "", alias.name, statement.level)
        else:  # `import a.b` binds a
            top = alias.name.partition(".")[0]
            yield alias.asname or top, Imported(alias.name if alias.asname else top, None)


def _is_script(test: ast.expr) -> bool:
    """`__name__ == "__main__"`: what is under it does not run when the module is imported."""
    return isinstance(test, ast.Compare) and isinstance(test.left, ast.Name) and test.left.id == "__name__"


_MAKERS = frozenset({"globals", "locals", "vars", "exec", "eval", "setattr", "__builtins__"})


def _makes_names(node: ast.AST) -> bool:
    return (isinstance(node, ast.Name) and node.id in _MAKERS) or (
        isinstance(node, ast.Attribute) and node.attr == "modules"
    )
