"""Modules that code asks for by a text, as in `import_module(f"plugins.{name}")`: how much of the text is known.

A text that stands there is one module's name. Of one that is put together its beginning may be known, and with it the
package that it is in; where nothing is known, it may be any module of the project.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from pipeline_runner.classes import dataclass

# What of the standard library imports, or runs, what a text names; False: the text is a file's.
_IMPORTERS = {
    "importlib.import_module": True,
    "importlib.__import__": True,
    "builtins.__import__": True,
    "__import__": True,
    "importlib.util.find_spec": True,
    "pkgutil.resolve_name": True,
    "pydoc.locate": True,
    "runpy.run_module": True,
    "runpy.run_path": False,
    "importlib.util.spec_from_file_location": False,
    "importlib.machinery.SourceFileLoader": False,
}
HOMES = frozenset(name.partition(".")[0] for name in _IMPORTERS)
_NAME = frozenset({"name", "mod_name", "path"})  # what they call their first argument


@dataclass(frozen=True)
class Asked:
    """A module that is asked for by a text. `name` is only how it begins where it is not `known`."""

    name: str
    known: bool


@dataclass(frozen=True)
class Here:
    """Where the asking is done: what `__name__` and `__package__` are there."""

    module: str
    package: str


def importers() -> frozenset[str]:
    """What the functions are called that import by a text, each without its module."""
    return frozenset(name.rpartition(".")[2] for name in _IMPORTERS)


def imports_by_name(name: str) -> bool:
    """Whether this, a dotted name, is a function that imports what it is given the name of."""
    return name in _IMPORTERS


def asked(statement: ast.AST, use: tuple[str, ...], name: str, here: Here) -> Iterator[Asked]:
    """What a statement asks for by the importer `name`, which is called `use` in it."""
    nodes = list(ast.walk(statement))
    calls = {id(node.func): node for node in nodes if isinstance(node, ast.Call)}
    for node in nodes:
        if dotted(node) == use:
            call = calls.get(id(node))
            if call is None or not _IMPORTERS[name]:  # handed on, to `map` say
                yield Asked("", known=False)
            else:
                yield from _of_call(call, name.endswith("__import__"), here)


def _of_call(call: ast.Call, plain: bool, here: Here) -> Iterator[Asked]:
    """`plain`: it is `__import__`, which gives the outermost package, and is told by numbers what is relative."""
    named = [word.value for word in call.keywords if word.arg in _NAME]
    given = [*named, *call.args, *(word.value for word in call.keywords if word.arg not in _NAME)]
    if not given:
        return
    first, *rest = given
    text, known = _text(first, here)
    text = text.partition(":")[0]  # of `resolve_name("module:name")`
    if plain:
        words = [node.value for one in rest for node in ast.walk(one) if isinstance(node, ast.Constant)]
        for name in dict.fromkeys((text, f"{here.package}.{text}", text.partition(".")[0])) if known else [text]:
            yield Asked(name, known)
            yield from (Asked(f"{name}.{word}", known=True) for word in words if known and isinstance(word, str))
        return
    if text.startswith(".") or (rest and not text):
        package, sure = _text(rest[0], here) if rest else ("", False)
        package = package if sure else here.package
        inner = text.lstrip(".")
        for _ in range(len(text) - len(inner) - 1):
            package = package.rpartition(".")[0]
        text = f"{package}.{inner}" if package else inner
    yield Asked(text, known)


def _text(node: ast.AST, here: Here) -> tuple[str, bool]:
    """How a text begins, and whether that is all of it."""
    match node:
        case ast.Constant(value=str(text)):
            return text, True
        case ast.Name(id="__name__"):
            return here.module, True
        case ast.Name(id="__package__"):
            return here.package, True
        case ast.JoinedStr(values=values):
            return _joined(values, here)
        case ast.FormattedValue(value=value, format_spec=None):
            return _text(value, here)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _joined([left, right], here)
        case ast.BinOp(left=ast.Constant(value=str(text)), op=ast.Mod()):
            return text.partition("%")[0], False
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=str(text)), attr="format")):
            return text.partition("{")[0], False
    return "", False


def _joined(nodes: list[ast.expr], here: Here) -> tuple[str, bool]:
    begun = ""
    for node in nodes:
        text, known = _text(node, here)
        begun += text
        if not known:
            return begun, False
    return begun, True


def dotted(node: ast.AST) -> tuple[str, ...] | None:
    """`a.b.c` as its parts; None where it is anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.insert(0, node.attr)
        node = node.value
    return (node.id, *parts) if isinstance(node, ast.Name) else None
