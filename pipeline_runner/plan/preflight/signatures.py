"""Which arguments a function takes, and what is wrong with a call of it."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator, Mapping

from pipeline_runner.classes import dataclass, field
from pipeline_runner.errors import nearest
from pipeline_runner.typed import NamedTuple

Path = tuple[str | int, ...]  # keys and numbers from a stage to a place in it: ("with", "lower")
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(frozen=True)
class Place:
    """Where a name is defined, as people find it."""

    file: str
    line: int
    text: str  # def count(text, *, lower=False)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


# The kinds of `inspect`, which imports as much as ten modules of ours.
POSITIONAL_ONLY, POSITIONAL_OR_KEYWORD, VAR_POSITIONAL, KEYWORD_ONLY, VAR_KEYWORD = range(5)


class Parameter(NamedTuple):
    """One of those that a function takes."""

    name: str
    kind: int
    required: bool


Signature = Mapping[str, Parameter]  # by name, in order


@dataclass(frozen=True)
class Callee:
    """A function that was found."""

    signature: Signature | None  # None: whoever calls it must find out
    place: Place | None = None
    endless: bool = False  # it yields for ever


@dataclass(frozen=True)
class Shape:
    """What calls are given, as far as it is known before they are made."""

    positions: tuple[str, ...]  # what each of them is: "item", "column 2"
    keywords: Mapping[str, Path] = field(default_factory=dict)  # name → where it is written
    whole: bool = True  # False: there are more arguments, not known yet
    written: Path = ()  # where that is written which gives the positions

    @property
    def kind(self) -> object:
        """What decides whether a function takes such calls."""
        return len(self.positions), tuple(self.keywords), self.whole

    def __str__(self) -> str:
        more = () if self.whole else ("…",)
        return ", ".join((*self.positions, *(f"{name}=…" for name in self.keywords), *more))


def from_tree(function: Function, *, bound: bool = False) -> Signature | None:
    """The signature of a function that was only read; `bound`: its first argument is given by Python itself."""
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    required = len(positional) - len(arguments.defaults)
    found: list[Parameter] = []
    for number, argument in enumerate(positional):
        kind = POSITIONAL_ONLY if number < len(arguments.posonlyargs) else POSITIONAL_OR_KEYWORD
        found.append(Parameter(argument.arg, kind, number < required))
    if arguments.vararg:
        found.append(Parameter(arguments.vararg.arg, VAR_POSITIONAL, True))
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        found.append(Parameter(argument.arg, KEYWORD_ONLY, default is None))
    if arguments.kwarg:
        found.append(Parameter(arguments.kwarg.arg, VAR_KEYWORD, True))
    if bound and found and found[0].kind in (POSITIONAL_ONLY, POSITIONAL_OR_KEYWORD):
        del found[0]
    return _signature(found)  # None, one name twice: Python tells it when the file is imported


def from_list(listed: list[tuple[str, int, bool]]) -> Signature | None:
    """The signature that another process tells: name, kind, and whether it must be given."""
    return _signature([Parameter(name, kind, required) for name, kind, required in listed])


def _signature(found: list[Parameter]) -> Signature | None:
    named = {parameter.name: parameter for parameter in found}
    return named if len(named) == len(found) else None


_POSITIONAL = (POSITIONAL_ONLY, POSITIONAL_OR_KEYWORD)


def told(name: str, function: Function) -> str:
    """`def count(text, *, lower=False)`, without the annotations."""
    arguments = copy.deepcopy(function.args)
    for node in ast.walk(arguments):
        if isinstance(node, ast.arg):
            node.annotation = None
    kind = {ast.AsyncFunctionDef: "async def", ast.Lambda: "lambda"}.get(type(function), "def")
    return f"{kind} {name}({ast.unparse(arguments)})"


# -------------------------------------------------------------------------------------- what does not fit


@dataclass(frozen=True)
class UnknownKeyword:
    name: str
    known: tuple[str, ...]


@dataclass(frozen=True)
class OnlyByPosition:
    name: str


@dataclass(frozen=True)
class Twice:
    name: str
    position: str


@dataclass(frozen=True)
class TooMany:
    most: int


@dataclass(frozen=True)
class Missing:
    names: tuple[str, ...]


Misfit = UnknownKeyword | OnlyByPosition | Twice | TooMany | Missing


def misfits(signature: Signature, shape: Shape) -> Iterator[Misfit]:
    """Why Python would refuse a call of this shape; nothing where it is not known enough."""
    by_position = [name for name, parameter in signature.items() if parameter.kind in _POSITIONAL]
    by_name = [name for name, parameter in signature.items() if parameter.kind in (POSITIONAL_OR_KEYWORD, KEYWORD_ONLY)]
    kinds = {parameter.kind for parameter in signature.values()}
    given = len(shape.positions)
    meant: set[str | None] = set()  # by a word that is told already
    for name in shape.keywords:
        if name in by_name and name in by_position[:given]:
            yield Twice(name, shape.positions[by_position.index(name)])
        elif name in by_name or VAR_KEYWORD in kinds:
            continue
        elif name in by_position:
            meant.add(name)
            yield OnlyByPosition(name)
        else:
            free = tuple(known for known in by_name if known not in shape.keywords and known not in by_position[:given])
            meant.add(nearest(name, free))
            yield UnknownKeyword(name, free)
    if given > len(by_position) and VAR_POSITIONAL not in kinds:
        yield TooMany(len(by_position))
    if not shape.whole:
        return
    filled = {*by_position[:given], *(name for name in shape.keywords if name in by_name)}
    missing = [
        name
        for name in dict.fromkeys((*by_position, *by_name))
        if name not in filled and name not in meant and signature[name].required
    ]
    if missing:
        yield Missing(tuple(missing))
