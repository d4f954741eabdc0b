"""What a pipeline names and is not there, or cannot be called so: each shows its line of YAML and that of Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline_runner.classes import dataclass, field
from pipeline_runner.errors import Problem, did_you_mean, listed, nearest
from pipeline_runner.plan.preflight.signatures import Place


@dataclass(frozen=True, kw_only=True)
class NoSuchFile(Problem):
    """`file.py:function`, and no such file."""

    path: str
    known: tuple[str, ...] = ()

    def sentence(self) -> str:
        if self.path in self.known:
            return f'"{self.path}" is a folder; name the file in it that has the function'
        return f'there is no file "{self.path}" beside the pipeline{did_you_mean(self.path, self.known)}'


@dataclass(frozen=True, kw_only=True)
class NoSuchModule(Problem):
    """`module:function`, and no such module."""

    module: str
    known: tuple[str, ...] = ()

    def sentence(self) -> str:
        return f'there is no module "{self.module}"{did_you_mean(self.module, self.known)}'

    def advice(self) -> Sequence[str]:
        return ("looked beside the pipeline, in the standard library and in what is installed",)


@dataclass(frozen=True, kw_only=True)
class NoSuchName(Problem):
    """The module is there, and has no such function."""

    owner: str
    name: str
    known: tuple[str, ...] = ()
    near: Mapping[str, Place] = field(default_factory=dict, repr=False, compare=False)
    instead: str = ""

    def sentence(self) -> str:
        return f'{self.owner} has no "{self.name}"{did_you_mean(self.name, self.known)}'

    def advice(self) -> Sequence[str]:
        if self.instead:
            return (f"for a file beside the pipeline write {self.instead}:{self.name}",)
        guess = nearest(self.name, self.known)
        if guess is not None:
            return (str(self.near[guess]),) if guess in self.near else ()
        shown = ", ".join(self.known[:8]) + (", …" if len(self.known) > 8 else "")
        return (f"it has: {shown}",) if shown else ()


@dataclass(frozen=True, kw_only=True)
class NotCallable(Problem):
    """What the name stands for is no function."""

    name: str
    kind: str
    place: Place | None = None

    def sentence(self) -> str:
        return f'"{self.name}" is {self.kind}, which cannot be called'

    def advice(self) -> Sequence[str]:
        return () if self.place is None else (str(self.place),)


@dataclass(frozen=True, kw_only=True)
class NotPython(Problem):
    """The module's file cannot be read by Python."""

    file: str
    line: int
    text: str
    why: str

    def sentence(self) -> str:
        return f'"{self.file}" is no Python: {self.why}'

    def advice(self) -> Sequence[str]:
        return (f"{self.file}:{self.line}: {self.text.strip()}",)


@dataclass(frozen=True, kw_only=True)
class CannotImport(Problem):
    """Python was asked, and could not import it."""

    function: str
    why: str
    cure: str = ""
    place: str = ""  # file:line: the line

    def sentence(self) -> str:
        return f'cannot import "{self.function}": {self.why}'

    def advice(self) -> Sequence[str]:
        return tuple(line for line in (self.place, self.cure) if line)


@dataclass(frozen=True, kw_only=True)
class Misfit(Problem):
    """A stage does not call its function as the function is written."""

    stage: str
    function: str  # its name
    call: str  # the arguments of a call, in short
    place: Place | None

    def advice(self) -> Sequence[str]:
        calls = f"each call is {self.function}({self.call})"
        return (calls,) if self.place is None else (str(self.place), calls)


@dataclass(frozen=True, kw_only=True)
class UnknownArgument(Misfit):
    name: str
    known: tuple[str, ...]

    def sentence(self) -> str:
        guess = did_you_mean(self.name, self.known)
        return f'stage "{self.stage}" gives "{self.name}" to {self.function}, which takes no such argument{guess}'


@dataclass(frozen=True, kw_only=True)
class ArgumentByPosition(Misfit):
    name: str

    def sentence(self) -> str:
        return f'stage "{self.stage}" gives "{self.name}" by name to {self.function}, which takes it only by position'


@dataclass(frozen=True, kw_only=True)
class ArgumentTwice(Misfit):
    name: str
    position: str  # what it is already: "item"

    def sentence(self) -> str:
        return (
            f'stage "{self.stage}" gives {self.function} its argument "{self.name}" twice: '
            f"it is the {self.position} already"
        )


@dataclass(frozen=True, kw_only=True)
class TooManyArguments(Misfit):
    given: int
    most: int

    def sentence(self) -> str:
        takes = "none" if self.most == 0 else f"at most {self.most}"
        return f'stage "{self.stage}" gives {self.function} {_count(self.given)} by position, and it takes {takes}'


@dataclass(frozen=True, kw_only=True)
class ArgumentsMissing(Misfit):
    names: tuple[str, ...]

    def sentence(self) -> str:
        names = listed([f'"{name}"' for name in self.names])
        plural = "s" if len(self.names) > 1 else ""
        return f'stage "{self.stage}" does not give {self.function} its argument{plural} {names}'

    def advice(self) -> Sequence[str]:
        rows = ("if an item is a row of arguments, say so: args: star",) if self.call == "item" else ()
        return (*Misfit.advice(self), *rows)


def _count(number: int) -> str:
    return "1 argument" if number == 1 else f"{number} arguments"


@dataclass(frozen=True, kw_only=True)
class NoInput(Problem):
    """A file of items that cannot be read, and that no stage makes."""

    stage: str
    path: str
    why: str
    known: tuple[str, ...] = ()  # files in its folder

    def sentence(self) -> str:
        guess = did_you_mean(self.path, self.known)
        return f'stage "{self.stage}" cannot read "{self.path}": {self.why}{guess}'


@dataclass(frozen=True, kw_only=True)
class NoDep(Problem):
    """A file of `deps` that is not there, and that no stage before makes."""

    stage: str
    path: str
    maker: str | None = None  # a stage that makes it, and is not waited for
    known: tuple[str, ...] = ()  # files in its folder

    def sentence(self) -> str:
        guess = "" if self.maker else did_you_mean(self.path, self.known)
        return f'stage "{self.stage}" depends on "{self.path}", which is not there{guess}'

    def advice(self) -> Sequence[str]:
        return (f'stage "{self.maker}" makes it: add  needs: [{self.maker}]',) if self.maker else ()


@dataclass(frozen=True, kw_only=True)
class NoProgram(Problem):
    """The first word of a command without a shell names no program."""

    stage: str
    program: str
    why: str  # "there is no such program"

    def sentence(self) -> str:
        return f'stage "{self.stage}" runs "{self.program}", and {self.why}'

    def advice(self) -> Sequence[str]:
        if self.why == "that may not be executed":
            return (f'make it so (chmod +x), or name what is to read it: run: [sh, "{self.program}"]',)
        if " " in self.program:
            return ("a list has one word in each of its elements; for a whole command line write it as text",)
        return ()


@dataclass(frozen=True, kw_only=True)
class CannotTravel(Problem):
    """What a worker would be sent cannot be made into bytes."""

    stage: str
    what: str  # "the function <lambda>", 'the argument "lock"'
    why: str

    def sentence(self) -> str:
        return f'{self.what} of stage "{self.stage}" cannot be sent to a worker: {self.why}'

    def advice(self) -> Sequence[str]:
        return ("make it inside the function, or in `setup`, which each worker runs once",)


@dataclass(frozen=True, kw_only=True)
class NoBlank(Problem):
    """A `${item…}` that an item has no value for, or none that can stand there."""

    stage: str
    index: int  # of the first such item, from 0
    why: str

    def sentence(self) -> str:
        return f'stage "{self.stage}", item {self.index}: {self.why}'
