"""Which arguments a function takes, and what is wrong with a call of it."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator, Mapping
from inspect import Parameter, Signature

from pipeline_runner.classes import dataclass, field
from pipeline_runner.errors import nearest

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
        kind = Parameter.POSITIONAL_ONLY if number < len(arguments.posonlyargs) else Parameter.POSITIONAL_OR_KEYWORD
        found.append(_parameter(argument.arg, kind, number < required))
    if arguments.vararg:
        found.append(_parameter(arguments.vararg.arg, Parameter.VAR_POSITIONAL, True))
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        found.append(_parameter(argument.arg, Parameter.KEYWORD_ONLY, default is None))
    if arguments.kwarg:
        found.append(_parameter(arguments.kwarg.arg, Parameter.VAR_KEYWORD, True))
    if bound and found and found[0].kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD):
        del found[0]
    try:
        return Signature(found)
    except ValueError:  # one name twice: Python tells it when the file is imported
        return None


def from_list(listed: list[tuple[str, int, bool]]) -> Signature:
    """The signature that another process tells: name, kind, and whether it must be given."""
    kinds = {int(kind): kind for kind in (*_POSITIONAL, *_OTHERS)}
    return Signature([_parameter(name, kinds[kind], required) for name, kind, required in listed])


_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_OTHERS = (Parameter.VAR_POSITIONAL, Parameter.KEYWORD_ONLY, Parameter.VAR_KEYWORD)


def _parameter(name: str, kind: object, required: bool) -> Parameter:
    return Parameter(name, kind, default=Parameter.empty if required else None)  # type: ignore[arg-type]


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
    parameters = signature.parameters
    by_position = [name for name, parameter in parameters.items() if parameter.kind in _POSITIONAL]
    by_name = [
        name
        for name, parameter in parameters.items()
        if parameter.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    ]
    kinds = {parameter.kind for parameter in parameters.values()}
    given = len(shape.positions)
    meant: set[str | None] = set()  # by a word that is told already
    for name in shape.keywords:
        if name in by_name and name in by_position[:given]:
            yield Twice(name, shape.positions[by_position.index(name)])
        elif name in by_name or Parameter.VAR_KEYWORD in kinds:
            continue
        elif name in by_position:
            meant.add(name)
            yield OnlyByPosition(name)
        else:
            free = tuple(known for known in by_name if known not in shape.keywords and known not in by_position[:given])
            meant.add(nearest(name, free))
            yield UnknownKeyword(name, free)
    if given > len(by_position) and Parameter.VAR_POSITIONAL not in kinds:
        yield TooMany(len(by_position))
    if not shape.whole:
        return
    filled = {*by_position[:given], *(name for name in shape.keywords if name in by_name)}
    missing = [
        name
        for name in dict.fromkeys((*by_position, *by_name))
        if name not in filled and name not in meant and parameters[name].default is Parameter.empty
    ]
    if missing:
        yield Missing(tuple(missing))
