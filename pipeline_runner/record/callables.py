"""Functions that exist only in Python: lambdas, closures, cells of a notebook, and whatever else can be called.

Such a function is its code, its defaults, what it closes over, and what of its module's names it uses; so is each
function and class that is found in these, wherever it is kept. What modules of the project have counts as their source
says, and so does what a function imports while it runs. Of what was installed the version counts.
"""

from __future__ import annotations

import functools
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType, MappingProxyType, MethodType, ModuleType

from pipeline_runner.classes import dataclass, field
from pipeline_runner.hashing import sha256
from pipeline_runner.record.digests import sets_told, stable
from pipeline_runner.record.packages import installed, package_version
from pipeline_runner.record.source import Reached, given_recipe
from pipeline_runner.record.within import imports_by_text, lines_within, words
from pipeline_runner.typed import Any

_OF_A_CLASS = frozenset(
    {"__dict__", "__weakref__", "__doc__", "__module__", "__firstlineno__", "__static_attributes__", "_abc_impl"}
)
_DOCUMENTED = 0x4000000  # a flag of code since Python 3.14


def given_parts(function: Any, folder: Path) -> Reached | None:
    """What a function is and reaches, so that a later process says the same; None where something of that has no
    lasting description."""
    book = _Book()
    try:
        told = book.told(function)
        reached = given_recipe(sorted(book.files), book.lines(folder), folder)
    except Exception:  # whatever a class raises when it is pickled
        return None
    if reached is None:
        return None
    # Not its `repr`, which has an address where it is an object.
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    parts = dict(reached.definitions) | {f"function {name}": told.hex()}
    return Reached(tuple(parts.items()), reached.packages)


@dataclass
class _Book:
    """What has been found of the project's: files of whole modules, and what each module's functions import."""

    files: set[Path] = field(default_factory=set)
    imports: dict[Path | None, dict[str, None]] = field(default_factory=dict)

    def told(self, value: Any) -> bytes:
        """The digest of a value and of all that is found in it, each told once and named by its number after that: so
        neither a circle nor a long chain of functions is any deeper than one."""
        found = [value]
        numbers = {id(value): 0}
        hashed = sha256()

        def number(inner: Any) -> int:
            if id(inner) not in numbers:
                numbers[id(inner)] = len(found)
                found.append(inner)
            return numbers[id(inner)]

        make = functools.partial(_Pickler, number)
        for one in found:  # which grows
            hashed.update(sha256(stable(sets_told(self._described(one), self.told), make)).digest())
        return hashed.digest()

    def lines(self, folder: Path) -> dict[Path, list[str]]:
        """All that is imported within functions, by their modules' files."""
        return {file or folder / "<given>": sorted(lines) for file, lines in self.imports.items()}

    def _described(self, value: Any) -> Any:
        """What a value is: functions and classes by what they do."""
        if isinstance(value, ModuleType):
            return "module", value.__name__, self._module(value)
        if not _has_code(value):
            return "value", value
        if imports_by_text(value):  # kept somewhere, and called with whatever there is
            self._imports(None, ["__import__"])
        name = (getattr(value, "__module__", ""), getattr(value, "__qualname__", ""))
        module = sys.modules.get(name[0] or "")
        if module is not None and not _is_ours(module) and _found(module, name[1]) is value:
            return "installed", name, _version(module)
        if isinstance(value, type):
            members = sorted((key, _bare(member)) for key, member in _members(value))
            return "class", name, type(value), value.__bases__, members
        if isinstance(value, functools.partial):
            return "partial", value.func, value.args, value.keywords
        if isinstance(value, MethodType):
            return "method", value.__func__, value.__self__
        if isinstance(value, FunctionType):
            cells = [cell.cell_contents for cell in value.__closure__ or ()]
            return "function", cells, value.__defaults__, value.__kwdefaults__, *self._body(value)
        return "wrapped", type(value).__qualname__, value.__wrapped__  # of lru_cache, which is no function of Python

    def _body(self, function: FunctionType) -> tuple[Any, ...]:
        names = function.__globals__
        module = sys.modules.get(names.get("__name__") or "")
        if module is not None and not _is_ours(module):  # what a decorator of a package has made, say
            return function.__qualname__, _version(module)
        file = names.get("__file__")
        self._imports(Path(file).resolve() if file else None, lines_within(function.__code__, names))
        spoken = words(function.__code__)
        used = [(word, names[word]) for word in spoken if word in names and not imports_by_text(names[word])]
        inner = [module for _, top in used if isinstance(top, ModuleType) for module in _below(top, spoken)]
        return _code(function.__code__), used, inner

    def _module(self, module: ModuleType) -> str:
        if not _is_ours(module):
            return _version(module)
        file = getattr(module, "__file__", None)
        if file:
            self.files.add(Path(file))
            self._imports(None, [f"import {module.__name__} as _"])  # and the packages that it is in
        return ""

    def _imports(self, file: Path | None, lines: list[str]) -> None:
        self.imports.setdefault(file, {}).update(dict.fromkeys(lines))


class _Pickler(pickle.Pickler):
    """Says of each function, class and module its number, where pickle has but a name."""

    def __init__(self, number: Callable[[Any], int], *how: Any, **more: Any) -> None:
        super().__init__(*how, **more)
        self._number = number

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, MappingProxyType):
            return dict, (dict(value),)
        if getattr(value, "__module__", None) in (__name__, stable.__module__) or value is dict:
            return NotImplemented  # what stands for a set, or for this
        if isinstance(value, ModuleType) or _has_code(value):
            return _numbered, (self._number(value),)
        return NotImplemented


def _numbered() -> None:
    """Only its name is ever used."""


def _has_code(value: Any) -> bool:
    """Whether it is known by what it does, not by what is in it."""
    if isinstance(value, type | FunctionType | MethodType | functools.partial):
        return True
    return type(value).__module__ == "functools" and hasattr(value, "__wrapped__") and callable(value)


def _members(made: type) -> Iterator[tuple[str, Any]]:
    return ((key, member) for key, member in vars(made).items() if key not in _OF_A_CLASS)


def _bare(member: Any) -> Any:
    """The function in a static or class method, or those in a property."""
    if isinstance(member, property):
        return member.fget, member.fset, member.fdel
    if isinstance(member, functools.cached_property):
        return "cached", member.func
    return type(member).__name__, member.__func__ if isinstance(member, staticmethod | classmethod) else member


def _below(module: ModuleType, spoken: list[str]) -> list[ModuleType]:
    """The modules in a package of which all names are spoken of: `pkg.deep.far(x)` asks `pkg` for `deep`."""
    if not _is_ours(module):
        return []
    before, parts = f"{module.__name__}.", frozenset(spoken)
    names = [name for name in sys.modules if name.startswith(before)]
    return [sys.modules[name] for name in sorted(names) if parts.issuperset(name.removeprefix(before).split("."))]


def _version(module: ModuleType) -> str:
    """Of what a module was installed with; the standard library has Python's, which each recipe has."""
    top = module.__name__.partition(".")[0]
    return "" if top in sys.stdlib_module_names else package_version(top)


def _is_ours(module: ModuleType) -> bool:
    """Whether a module is the project's, or a notebook's: not one that was installed."""
    file = getattr(module, "__file__", None)
    if module.__name__ == "__main__":
        return True
    return module.__name__.partition(".")[0] not in sys.stdlib_module_names and not (file and installed(Path(file)))


def _found(module: Any, name: str) -> Any:
    """What a module has under a dotted name, or None."""
    for part in name.split("."):
        module = getattr(module, part, None)
    return module


def _code(code: CodeType) -> Any:
    """Bytecode and constants, without names of files, numbers of lines, and the docstring."""
    inner = [_code(constant) if isinstance(constant, CodeType) else constant for constant in code.co_consts]
    if _documented(code):
        inner[0] = None
    takes = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags & ~_DOCUMENTED
    names = code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
    return code.co_code, code.co_exceptiontable, inner, takes, names


def _documented(code: CodeType) -> bool:
    """Whether the first constant is a docstring."""
    if sys.version_info >= (3, 14):
        return bool(code.co_flags & _DOCUMENTED)
    function = code.co_flags & 1 and not code.co_name.startswith("<")  # no class, lambda or comprehension
    return bool(function and code.co_consts and isinstance(code.co_consts[0], str))
