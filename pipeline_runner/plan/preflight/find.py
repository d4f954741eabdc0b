"""Finds the function that a pipeline names by reading files, and says so where only Python itself could tell."""

from __future__ import annotations

import ast
import importlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from pipeline_runner.classes import dataclass
from pipeline_runner.plan.preflight.endless import endless
from pipeline_runner.plan.preflight.finder import Finder
from pipeline_runner.plan.preflight.modules import Binding, Imported, Module, Unreadable, bindings, read
from pipeline_runner.plan.preflight.signatures import Callee, Place, from_list, from_tree, told
from pipeline_runner.spec.pipeline import InFile, Named
from pipeline_runner.typed import Any
from pipeline_runner.witness import saw
from pipeline_runner.worker.describe import described

DEPTH = 10  # names that stand for names, and so on


@dataclass(frozen=True)
class NoFile:
    """`file.py:function`, and no such file."""

    path: str
    known: tuple[str, ...]  # files beside the pipeline


@dataclass(frozen=True)
class NoModule:
    """`module:function`, and no such module."""

    name: str
    known: tuple[str, ...]  # modules beside the pipeline


@dataclass(frozen=True)
class NoName:
    """The module is there, and has no such name."""

    owner: str  # "texts.py", "class Model"
    name: str
    known: tuple[str, ...]
    near: Mapping[str, Place]  # where the known ones are
    instead: str = ""  # a file beside the pipeline, hidden by a module of the standard library


@dataclass(frozen=True)
class NoCall:
    """The name is there, and what it stands for cannot be called."""

    kind: str  # "a number"
    place: Place | None


Answer = Callee | NoFile | NoModule | NoName | NoCall | Unreadable


def find(function: Named | InFile, finder: Finder) -> Answer | None:
    """What the name stands for; None where reading does not tell."""
    steps = tuple(function.attribute.split("."))
    if isinstance(function, InFile):
        file = os.path.realpath(os.path.join(finder.folder, function.path))
        saw("leads", os.path.join(finder.folder, function.path), answer=file)
        if not os.path.isfile(file):
            return NoFile(function.path, tuple(path.name for path in beside(finder.folder)))
        return _Search(finder).in_file(file, None, steps, 0)
    if function.module.partition(".")[0] in sys.stdlib_module_names:
        return _standard(function, finder)
    return _Search(finder).in_module(function.module, steps, 0)


def beside(folder: str) -> list[Path]:
    """The Python files of a project's folder."""
    try:
        return sorted(Path(folder).glob("*.py"))
    except OSError:
        return []


# To import these is to do something, or never to come back.
_NOT_IMPORTED = frozenset({"antigravity", "this", "test", "idlelib", "turtle", "turtledemo", "tkinter", "__main__"})


def _standard(function: Named, finder: Finder) -> Answer | None:
    """A name of the standard library, which is no code of the user's: imported, that is quicker than reading it."""
    if function.module.partition(".")[0] in _NOT_IMPORTED:
        return None
    try:
        found: Any = importlib.import_module(function.module)
    except ImportError:
        return None
    module = found
    for name in function.attribute.split("."):
        if not hasattr(found, name):
            hidden = f"{function.module}.py"
            instead = hidden if os.path.isfile(os.path.join(finder.folder, hidden)) and found is module else ""
            known = tuple(word for word in dir(found) if not word.startswith("_"))
            return NoName(f"the standard library's {function.module}", name, known, {}, instead)
        found = getattr(found, name)
    return inspected(found)


def inspected(function: Any) -> Callee | NoCall:
    """What a live function says of itself."""
    told_ = described(function)
    place = None if told_["place"] is None else Place(*told_["place"])
    if not callable(function):
        return NoCall(told_["kind"], place)
    return Callee(None if told_["parameters"] is None else from_list(told_["parameters"]), place)


@dataclass(frozen=True)
class _Search:
    finder: Finder

    def in_module(self, name: str, steps: tuple[str, ...], depth: int) -> Answer | None:
        file = self.finder.file(name)
        if file == "missing":
            return NoModule(name, tuple(path.stem for path in beside(self.finder.folder)))
        return None if file == "unread" else self.in_file(file, name, steps, depth)

    def in_file(self, file: str, name: str | None, steps: tuple[str, ...], depth: int) -> Answer | None:
        """`name` is the module's own, where it has one that others import it by."""
        match read(file):
            case Module() as module:
                return self._in(module, name, steps, depth)
            case Unreadable() as unreadable:
                return Unreadable(shown(unreadable.file), unreadable.line, unreadable.text, unreadable.why)
        return None

    def _in(self, module: Module, name: str | None, steps: tuple[str, ...], depth: int) -> Answer | None:
        if depth > DEPTH:
            return None
        first, *rest = steps
        found = module.bound.get(first)
        if found is None and module.open:
            return None
        if found is None:
            near = {word: _place(module, word, module.bound[word][-1]) for word in module.callables}
            return NoName(shown(module.file), first, tuple(near), near)
        if not found[-1].always:
            return None
        match found[-1].value:
            case Imported() as imported:
                return self._imported(module, name, imported, tuple(rest), depth)
            case ast.Name(id=other) if other != first and other in module.bound:
                return self._in(module, name, (other, *rest), depth + 1)
            case _:
                return _defined(module, first, found[-1], tuple(rest))

    def _imported(
        self, module: Module, name: str | None, imported: Imported, rest: tuple[str, ...], depth: int
    ) -> Answer | None:
        place = imported.module
        if imported.level:
            package = name if os.path.basename(module.file) == "__init__.py" else (name or "").rpartition(".")[0]
            parts = (package or "").split(".")
            kept = parts[: len(parts) - imported.level + 1]
            if not package or not kept:
                return None
            place = ".".join((*kept, *([place] if place else [])))
        if place.partition(".")[0] in sys.stdlib_module_names:
            return None
        steps = rest if imported.name is None else (imported.name, *rest)
        if not steps:
            return None
        answer = self.in_module(place, steps, depth + 1)
        # Where an import leads nowhere, it may be a module that makes its names, or is one itself: Python knows.
        return answer if isinstance(answer, Callee | NoCall) else None


def _defined(module: Module, name: str, binding: Binding, rest: tuple[str, ...]) -> Answer | None:
    place = _place(module, name, binding)
    match binding.value:
        case ast.FunctionDef() | ast.AsyncFunctionDef() as function if not rest:
            plain = all(_origin(decorator, module) in _TRANSPARENT for decorator in function.decorator_list)
            for_ever = plain and endless(function, lambda name: _origin(name, module))
            return Callee(from_tree(function) if plain else None, place, for_ever)
        case ast.Lambda() as function if not rest:
            return Callee(from_tree(function), place)
        case ast.ClassDef() as owner:
            return _in_class(module, name, owner, place, rest)
        case value if (kind := _kind(value)) and not rest:
            return NoCall(kind, place)
    return None


# What these give takes the same arguments as what they are given.
_TRANSPARENT = frozenset(
    {"functools.cache", "functools.lru_cache", "typing.no_type_check", "typing.override", "typing_extensions.override"}
)


def _origin(decorator: ast.expr, module: Module) -> str:
    """`functools.lru_cache`, however the module calls it."""
    match decorator:
        case ast.Call(func=inner):
            return _origin(inner, module)
        case ast.Attribute(value=inner, attr=name):
            return f"{_origin(inner, module)}.{name}"
        case ast.Name(id=name):
            found = module.bound.get(name)
            if found is None:
                return name
            if isinstance(imported := found[-1].value, Imported) and not imported.level:
                return imported.module if imported.name is None else f"{imported.module}.{imported.name}"
    return "?"


def _in_class(module: Module, name: str, owner: ast.ClassDef, place: Place, rest: tuple[str, ...]) -> Answer | None:
    plain = not owner.keywords and not owner.decorator_list and all(_is_object(base) for base in owner.bases)
    members = bindings(owner.body)
    if not rest:
        if not plain or "__new__" in members:
            return None
        made = members.get("__init__")
        if made is None:
            return Callee(from_tree(_NOTHING), place)
        match made[-1].value:
            case ast.FunctionDef(decorator_list=[]) as init if made[-1].always:
                return Callee(from_tree(init, bound=True), _place(module, f"{name}.__init__", made[-1]))
        return None
    first, *more = rest
    found = members.get(first)
    if found is None:
        if not plain:
            return None
        near = {word: _place(module, f"{name}.{word}", of[-1]) for word, of in members.items() if word[:1] != "_"}
        return NoName(f"class {name}", first, tuple(near), near)
    where = _place(module, f"{name}.{first}", found[-1])
    match found[-1].value:
        case ast.FunctionDef() | ast.AsyncFunctionDef() as method if not more and found[-1].always:
            wraps = {_origin(decorator, module) for decorator in method.decorator_list}
            if wraps & {"property", "functools.cached_property"}:
                return NoCall("a property", where)
            known = wraps <= {"staticmethod", "classmethod", *_TRANSPARENT}
            return Callee(from_tree(method, bound="classmethod" in wraps) if known else None, where)
        case ast.ClassDef() as inner if found[-1].always:
            return _in_class(module, f"{name}.{first}", inner, where, tuple(more))
    return None


_NOTHING = ast.Lambda(
    args=ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[]), body=ast.Constant(None)
)


def _is_object(base: ast.expr) -> bool:
    return isinstance(base, ast.Name) and base.id == "object"


def _kind(value: ast.AST | Imported) -> str:
    """What a literal is, in a word; "" for what is no literal."""
    match value:
        case ast.Constant(value=bool() | None):
            return "no function"
        case ast.Constant(value=int() | float() | complex()):
            return "a number"
        case ast.Constant(value=str() | bytes()) | ast.JoinedStr():
            return "a text"
        case ast.List() | ast.ListComp() | ast.Tuple():
            return "a list"
        case ast.Dict() | ast.DictComp():
            return "a dict"
        case ast.Set() | ast.SetComp():
            return "a set"
    return ""


def _place(module: Module, name: str, binding: Binding) -> Place:
    """Where a binding is, and its first line as short as people need it."""
    match binding.value:
        case ast.FunctionDef() | ast.AsyncFunctionDef() as function:
            text = told(name, function)
        case ast.ClassDef():
            text = f"class {name}"
        case Imported():
            text = f"import of {name}"
        case value:
            text = _short(f"{name} = {ast.unparse(value)}" if isinstance(value, ast.expr) else name)
    return Place(shown(module.file), binding.line, text)


def _short(text: str) -> str:
    first = text.split("\n")[0]
    return first if len(first) <= 80 else f"{first[:77]}..."


def shown(file: str) -> str:
    """A path as people write it from where they are."""
    here = os.path.realpath(os.getcwd())
    return os.path.relpath(file, here) if file.startswith(here + os.sep) else file
