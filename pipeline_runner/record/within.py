"""What a function imports while it runs, read from its bytecode: what is given in Python may be in no file.

Whoever imports by a text counts with all modules of the project, unless that text alone stands in the call.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterator, Mapping
from opcode import opmap
from types import CodeType, ModuleType

from pipeline_runner.record.named import HOMES, importers
from pipeline_runner.typed import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dis import Instruction

_IMPORTERS = importers()
_COMMON = frozenset({"find_spec", "resolve_name", "locate"})  # names that others have too
_OWN = frozenset({"globals", "eval", "exec"})  # of Python's: they reach whatever is in the module they are in
_ANYTHING = "__import__"  # handed on, and so of whatever there is
_EVERY_NAME = "globals"
_BETWEEN = frozenset({"EXTENDED_ARG", "PRECALL", "PUSH_NULL", "NOP"})  # of no meaning here
_NAMES = frozenset({"LOAD_GLOBAL", "LOAD_NAME"})
_ATTRIBUTES = frozenset({"LOAD_ATTR", "LOAD_METHOD", "IMPORT_FROM"})


def lines_within(code: CodeType, names: Mapping[str, Any]) -> list[str]:
    """Statements that reach what a function's code reaches by importing it. `names`: those of its module."""
    return list(dict.fromkeys(_lines(code, names, _speaks_of_homes(words(code), names))))


def words(code: CodeType) -> list[str]:
    """Names that a function's code, and that of functions within it, may look up in its module."""
    inner = [word for constant in code.co_consts if isinstance(constant, CodeType) for word in words(constant)]
    return sorted({*code.co_names, *inner})


def imports_by_text(value: Any) -> bool:
    """Whether this is a function of Python's that imports what it is given the name of."""
    name, home = getattr(value, "__name__", None), getattr(value, "__module__", None)
    if not isinstance(name, str) or not isinstance(home, str):
        return False
    return name in _IMPORTERS and home.partition(".")[0] in sys.stdlib_module_names


def _speaks_of_homes(used: list[str], names: Mapping[str, Any]) -> bool:
    """Whether one of the modules that import by a text is spoken of."""
    modules = [value.__name__ for word in used if isinstance(value := names.get(word), ModuleType)]
    return any(name.partition(".")[0] in HOMES for name in (*used, *modules))


def _lines(code: CodeType, names: Mapping[str, Any], homes: bool) -> Iterator[str]:
    if _may_import(code, names):
        from dis import get_instructions  # for few functions: the look before it takes a hundredth of its time

        read = [one for one in get_instructions(code) if one.opname not in _BETWEEN]
        for at, one in enumerate(read):
            name = one.argval
            if one.opname == "IMPORT_NAME":
                yield from _imported(name, read[at - 2].argval, read[at - 1].argval, names)
            elif one.opname in _NAMES:
                if name in _OWN and name not in names:
                    yield _EVERY_NAME
                elif imports_by_text(names.get(name, getattr(builtins, name, None))):
                    yield from _by_text(name, read[at + 1 :], names)
            elif one.opname in _ATTRIBUTES:
                if name == "__subclasses__" or (name == "modules" and "sys" in code.co_names):
                    yield _EVERY_NAME
                elif name in _IMPORTERS and (homes or name not in _COMMON):
                    yield from _by_text(name, read[at + 1 :], names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _lines(constant, names, homes)


def _may_import(code: CodeType, names: Mapping[str, Any]) -> bool:
    if opmap["IMPORT_NAME"] in code.co_code[::2]:
        return True
    spoken = _IMPORTERS | _OWN | {"__subclasses__", "modules"}
    return any(word in spoken or imports_by_text(names.get(word)) for word in code.co_names)


def _imported(name: str, level: int, listed: tuple[str, ...] | None, names: Mapping[str, Any]) -> Iterator[str]:
    """`import name` as its packages and itself, since all of them are at hand then; `from name import listed`."""
    if level:
        package = (names.get("__package__") or "").split(".")
        name = ".".join(part for part in (*package[: len(package) - level + 1], name) if part)
    parts = name.split(".")
    if listed is None:
        yield from (f"import {'.'.join(parts[:stop])} as _" for stop in range(1, len(parts) + 1))
    elif name:
        yield f"from {name} import {', '.join(listed)}"
    else:
        yield from (f"import {one} as _" for one in listed)


def _by_text(importer: str, after: list[Instruction], names: Mapping[str, Any]) -> Iterator[str]:
    """What it is called with, where nothing but texts stands there; else whatever there is."""
    texts: list[str] = []
    for one in after:
        if one.opname == "CALL" and one.arg == len(texts) > 0:
            name = importer if importer == "__import__" else "importlib.import_module"
            yield from ("import importlib", f"{name}({', '.join(map(repr, texts))})")
            return
        text = names.get(one.argval) if one.opname in _NAMES and one.argval in ("__name__", "__package__") else None
        text = one.argval if one.opname == "LOAD_CONST" else text
        if not isinstance(text, str):
            break
        texts.append(text)
    yield _ANYTHING
