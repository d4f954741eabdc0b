"""Every kind of thing that can be wrong with what is written, each with its sentence and its cure."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline_runner.classes import dataclass
from pipeline_runner.errors import Problem, did_you_mean, kind_of, nearest
from pipeline_runner.marks import Mark


def listing(names: Sequence[str]) -> str:
    """Names side by side; of very many, some."""
    more = f", and {len(names) - 40} more" if len(names) > 40 else ""
    return ", ".join(names[:40]) + more if names else "none"


def describe(value: object) -> str:
    """A value as a sentence names it: `the text "4"`, `a list`."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case str():
            return f'the text "{short(value)}"'
        case int() | float():
            return f"the number {short(str(value))}"
        case list() | tuple():
            return "a list"
        case dict():
            return "a mapping"
    return kind_of(value)


def short(text: str) -> str:
    """Enough of a text to know it by."""
    first = text.split("\n")[0]
    return first if first == text and len(text) <= 60 else f"{first[:57]}..."


# ----------------------------------------------------------------------------------------------- files


@dataclass(frozen=True, kw_only=True)
class FileUnreadable(Problem):
    """The file that was named cannot be read."""

    path: str
    why: str

    def sentence(self) -> str:
        return f'cannot read "{self.path}": {self.why}'


@dataclass(frozen=True, kw_only=True)
class OutsideProject(Problem):
    """A file that a pipeline names, and that lies somewhere else."""

    path: str
    leads_to: str  # links followed, from the project's folder
    cure: str

    def sentence(self) -> str:
        return f'"{short(self.path)}" leads out of the project\'s folder, to {self.leads_to}'

    def advice(self) -> Sequence[str]:
        return ("the project is the folder of the pipeline that is run", f"if that is meant, {self.cure}")


@dataclass(frozen=True, kw_only=True)
class CircleOfFiles(Problem):
    """Files that read one another without end."""

    files: tuple[str, ...]  # the first is the last again

    def sentence(self) -> str:
        return f"these files read one another in a circle: {' → '.join(self.files)}"


@dataclass(frozen=True, kw_only=True)
class SaidTwice(Problem):
    """Two included files say different things about the same name."""

    what: str  # 'stage "read"', 'parameter "top"'
    first: Mark

    def sentence(self) -> str:
        return f"{self.what} comes from two included files; the other is at {self.first}"

    def advice(self) -> Sequence[str]:
        if self.what.startswith("stage "):
            return ("give one of the stages another name",)
        return ("say in this pipeline itself what it is: its own word goes before those of included files",)


@dataclass(frozen=True, kw_only=True)
class EmptyFile(Problem):
    """Nothing is written."""

    def sentence(self) -> str:
        return "the file is empty; a pipeline has at least stages"

    def advice(self) -> Sequence[str]:
        return ('"prun init" writes a small pipeline to begin with',)


@dataclass(frozen=True, kw_only=True)
class NotAMapping(Problem):
    """Something other than keys and values where keys and values are meant."""

    what: str
    got: str

    def sentence(self) -> str:
        return f"{self.what} is a mapping of keys to values; this is {self.got}"


@dataclass(frozen=True, kw_only=True)
class NotText(Problem):
    """What was given to be read is no text."""

    got: str

    def sentence(self) -> str:
        return f"a pipeline is read from text; this is {self.got}"

    def advice(self) -> Sequence[str]:
        return (
            'give what is in the file: Path("pipeline.yaml").read_text(); or load it: Pipeline.load("pipeline.yaml")',
        )


# ------------------------------------------------------------------------------------------------ keys


@dataclass(frozen=True, kw_only=True)
class UnknownKey(Problem):
    """A key that means nothing here."""

    key: str
    where: str
    known: tuple[str, ...]
    elsewhere: str = ""  # where the key would mean something

    def sentence(self) -> str:
        guess = "" if self.elsewhere else did_you_mean(self.key, self.known)
        return f'unknown key "{short(self.key)}" {self.where}{guess}'

    def advice(self) -> Sequence[str]:
        if self.elsewhere:
            return (f'"{self.key}" belongs {self.elsewhere}',)
        return () if nearest(self.key, self.known) else (f"known here: {listing(self.known)}",)


@dataclass(frozen=True, kw_only=True)
class NoName(Problem):
    """A key that can be the name of nothing."""

    where: str
    key: object

    def sentence(self) -> str:
        if self.key == "":
            return f"a key {self.where} has no name: it is empty"
        if isinstance(self.key, str):
            return f'no variable {self.where} can be called "{short(self.key)}"'
        return f"a key {self.where} is text, not {describe(self.key)}"

    def advice(self) -> Sequence[str]:
        return ("put quotes around it",) if isinstance(self.key, bool | int | float) else ()


@dataclass(frozen=True, kw_only=True)
class WrongType(Problem):
    """A value of another kind than the key takes."""

    key: str
    wants: str
    got: str
    cure: str = ""

    def sentence(self) -> str:
        return f'"{self.key}" takes {self.wants}, not {self.got}'

    def advice(self) -> Sequence[str]:
        return (self.cure,) if self.cure else ()


@dataclass(frozen=True, kw_only=True)
class WrongWord(Problem):
    """A word that is none of those that the key takes."""

    key: str
    word: str
    known: tuple[str, ...]

    def sentence(self) -> str:
        return f'"{self.key}" cannot be {self.word}{did_you_mean(self.word.strip(_QUOTES), self.known)}'

    def advice(self) -> Sequence[str]:
        return (f"it is one of: {listing(self.known)}",)


_QUOTES = '"'


@dataclass(frozen=True, kw_only=True)
class OutOfRange(Problem):
    key: str
    got: str
    wants: str

    def sentence(self) -> str:
        return f'"{self.key}" is {self.wants}, not {self.got}'


@dataclass(frozen=True, kw_only=True)
class BadDuration(Problem):
    key: str
    text: str

    def sentence(self) -> str:
        return f'"{self.key}" cannot be "{short(self.text)}": that is no span of time'

    def advice(self) -> Sequence[str]:
        return ("write 30s, 5m, 1h30m, 500ms, or a number of seconds",)


@dataclass(frozen=True, kw_only=True)
class BadSize(Problem):
    key: str
    text: str

    def sentence(self) -> str:
        return f'"{self.key}" cannot be "{short(self.text)}": that is no amount of memory'

    def advice(self) -> Sequence[str]:
        return ("write 2GiB, 500MB, or a number of bytes",)


@dataclass(frozen=True, kw_only=True)
class BadVersion(Problem):
    got: str

    def sentence(self) -> str:
        return f"this prun reads version 1 of the language, not {self.got}"

    def advice(self) -> Sequence[str]:
        return ("write version: 1, or install a newer prun",)


@dataclass(frozen=True, kw_only=True)
class BadStageName(Problem):
    name: str

    def sentence(self) -> str:
        return f'a stage cannot be called "{short(self.name)}"'

    def advice(self) -> Sequence[str]:
        return ("a name begins with a letter or _, and goes on with letters, digits, _ and -",)


@dataclass(frozen=True, kw_only=True)
class NoStages(Problem):
    def sentence(self) -> str:
        return "there are no stages"

    def advice(self) -> Sequence[str]:
        return ("add at least one:  stages: {NAME: {call: module:function}}",)


# ---------------------------------------------------------------------------------------------- stages


@dataclass(frozen=True, kw_only=True)
class UnsafeInShell(Problem):
    """A value in a shell's text, where it could not arrive as it is."""

    reference: str
    why: str
    cure: str

    def sentence(self) -> str:
        return f"{self.reference} cannot stand here: {self.why}"

    def advice(self) -> Sequence[str]:
        return (self.cure,)


@dataclass(frozen=True, kw_only=True)
class UnclosedInShell(Problem):
    """A shell's text that ends within a quote or a bracket."""

    sign: str

    def sentence(self) -> str:
        return f"the shell cannot read this command: a  {self.sign}  in it is never closed"

    def advice(self) -> Sequence[str]:
        return ("close it; a lone quote is written \\' or \\\"",)


@dataclass(frozen=True, kw_only=True)
class UnfitForCommand(Problem):
    """A value in a command that can be no word of one."""

    reference: str
    why: str

    def sentence(self) -> str:
        return f"{self.reference} cannot stand here: {self.why}"


@dataclass(frozen=True, kw_only=True)
class NotOfCommands(Problem):
    """A key that says something of functions, in a stage with `run`."""

    stage: str
    key: str
    cure: str

    def sentence(self) -> str:
        return f'stage "{self.stage}" runs a command, which has no "{self.key}"'

    def advice(self) -> Sequence[str]:
        return (self.cure,)


@dataclass(frozen=True, kw_only=True)
class StdoutWithoutRun(Problem):
    """`stdout` in a stage that calls a function."""

    stage: str

    def sentence(self) -> str:
        return f'"stdout" says what the output of a command becomes; stage "{self.stage}" calls a function'

    def advice(self) -> Sequence[str]:
        return ("a function's value is what it returns; what it prints is shown by `prun logs`",)


@dataclass(frozen=True, kw_only=True)
class CallAndRun(Problem):
    stage: str
    both: tuple[str, str] = ("call", "run")

    def sentence(self) -> str:
        one, other = self.both
        return f'stage "{self.stage}" has both "{one}" and "{other}"; it is one or the other'


@dataclass(frozen=True, kw_only=True)
class BesidePipeline(Problem):
    """A key that means nothing for a stage that is another file's pipeline."""

    key: str
    known: tuple[str, ...]

    def sentence(self) -> str:
        return f'"{self.key}" cannot stand beside "pipeline": the stages of that file say it themselves'

    def advice(self) -> Sequence[str]:
        if self.key in ("with", "over"):
            return ("what the file is to be given are its parameters:  params: {name: value}",)
        return (f"beside it there may be: {listing(self.known)}",)


@dataclass(frozen=True, kw_only=True)
class NothingToCall(Problem):
    stage: str

    def sentence(self) -> str:
        return f'stage "{self.stage}" does not say what to call'

    def advice(self) -> Sequence[str]:
        return ("add  call: module:function  (or file.py:function),  run: a command,  or  pipeline: other.yaml",)


@dataclass(frozen=True, kw_only=True)
class BadFunction(Problem):
    """A `call` that names no function."""

    text: str
    why: str
    cure: str

    def sentence(self) -> str:
        return f'"{short(self.text)}" names no function: {self.why}'

    def advice(self) -> Sequence[str]:
        return (self.cure,)


@dataclass(frozen=True, kw_only=True)
class UnknownMethod(Problem):
    name: str
    known: tuple[str, ...]  # aliases too
    canonical: tuple[str, ...]

    def sentence(self) -> str:
        return f'unknown method "{short(self.name)}"{did_you_mean(self.name, self.known)}'

    def advice(self) -> Sequence[str]:
        last = self.name.rsplit(".", 1)[-1]
        same = [name for name in self.canonical if name.rsplit(".", 1)[-1] == last]
        if same:
            return (f'these are called "{last}": {listing(same)}',)
        return ('"prun methods" shows them all',)


@dataclass(frozen=True, kw_only=True)
class UnknownBackend(Problem):
    word: str
    known: tuple[str, ...]

    def sentence(self) -> str:
        return f'unknown backend "{short(self.word)}"{did_you_mean(self.word, self.known)}'

    def advice(self) -> Sequence[str]:
        return (f"it is one of: {listing(self.known)}",)


@dataclass(frozen=True, kw_only=True)
class UnknownStage(Problem):
    """A stage that is not there."""

    name: str
    known: tuple[str, ...]

    def sentence(self) -> str:
        return f'there is no stage "{short(self.name)}"{did_you_mean(self.name, self.known)}'

    def advice(self) -> Sequence[str]:
        return (f"there is: {listing(self.known)}",)


@dataclass(frozen=True, kw_only=True)
class UnknownName(Problem):
    """A parameter, or a variable of the environment, that is not there."""

    root: str
    name: str
    known: tuple[str, ...]

    def sentence(self) -> str:
        what = "parameter" if self.root == "params" else "environment variable"
        return f'there is no {what} "{short(self.name)}"{did_you_mean(self.name, self.known)}'

    def advice(self) -> Sequence[str]:
        if self.root == "params":
            return (f'there is: {listing(self.known)}; add it to "params" with a default',)
        name = f".{self.name}" if self.name.isidentifier() else f"['{self.name}']"
        missing = f"where it may be missing, write  ${{env{name} | default('…')}}"
        return (f'set it before the run, or give it a value under "env":  env: {{{self.name}: …}}', missing)


@dataclass(frozen=True, kw_only=True)
class BadReference(Problem):
    """A `${…}` that cannot be read or leads nowhere."""

    what: str
    cure: str = ""

    def sentence(self) -> str:
        return self.what

    def advice(self) -> Sequence[str]:
        return (self.cure,) if self.cure else ()


@dataclass(frozen=True, kw_only=True)
class ReferenceMisplaced(Problem):
    """A `${…}` whose value is not known yet where it stands."""

    reference: str
    key: str
    why: str
    cure: str = ""

    def sentence(self) -> str:
        return f'{self.reference} cannot stand in "{self.key}": {self.why}'

    def advice(self) -> Sequence[str]:
        return (self.cure,) if self.cure else ()


@dataclass(frozen=True, kw_only=True)
class BadCondition(Problem):
    """An `if` that says neither yes nor no."""

    what: str
    cure: str

    def sentence(self) -> str:
        return self.what

    def advice(self) -> Sequence[str]:
        return (self.cure,)


@dataclass(frozen=True, kw_only=True)
class HookTakes(Problem):
    """A hook that is no stage."""

    hook: str
    got: str

    def sentence(self) -> str:
        return f'"{self.hook}" takes what a stage is (call or run, with, …), or a list of such; not {self.got}'

    def advice(self) -> Sequence[str]:
        return (f"write  {self.hook}: {{call: module:function}}",)


@dataclass(frozen=True, kw_only=True)
class HookNeeds(Problem):
    """A hook that would wait for a stage."""

    hook: str

    def sentence(self) -> str:
        return f'"{self.hook}" needs nothing: it runs when every stage has ended'


# --------------------------------------------------------------------------------- over, args and with


@dataclass(frozen=True, kw_only=True)
class OverNeeded(Problem):
    stage: str
    key: str

    def sentence(self) -> str:
        return f'stage "{self.stage}" says "{self.key}" but has no "over" to take items from'

    def advice(self) -> Sequence[str]:
        return ('add "over", or leave this out for one call',)


@dataclass(frozen=True, kw_only=True)
class ListWithOver(Problem):
    """Positions for every call, on top of those that `over` gives."""

    stage: str

    def sentence(self) -> str:
        return f'"with" of stage "{self.stage}" is a list, and there is "over": which comes first would be a guess'

    def advice(self) -> Sequence[str]:
        return ("name the arguments:  with: {name: value}",)


@dataclass(frozen=True, kw_only=True)
class ShortestWithoutZip(Problem):
    stage: str

    def sentence(self) -> str:
        return f'"shortest" of stage "{self.stage}" means something only for several columns (args: zip)'


@dataclass(frozen=True, kw_only=True)
class BadSource(Problem):
    """An `over` from which no items can be taken."""

    why: str
    cure: str = ""

    def sentence(self) -> str:
        return self.why

    def advice(self) -> Sequence[str]:
        return (self.cure,) if self.cure else ()


@dataclass(frozen=True, kw_only=True)
class UnequalColumns(Problem):
    """Columns that are read side by side, and one ends first."""

    first: str
    first_length: int
    other: str
    other_length: int

    def sentence(self) -> str:
        one, other = f"{self.first} has {self.first_length}", f"{self.other} has {self.other_length}"
        return f"the columns have unequal lengths: {one}, {other}"

    def advice(self) -> Sequence[str]:
        return ("make them equal, or say  shortest: true",)


@dataclass(frozen=True, kw_only=True)
class BadRow(Problem):
    """An item of `args: star` that is no row of arguments."""

    got: str

    def sentence(self) -> str:
        return f"with args: star an item is a list or a mapping of arguments; this is {self.got}"

    def advice(self) -> Sequence[str]:
        return ("args: map  gives each item as one argument",)


# ------------------------------------------------------------------------------ parameters and profiles


@dataclass(frozen=True, kw_only=True)
class UnknownParameter(Problem):
    name: str
    known: tuple[str, ...]

    def sentence(self) -> str:
        return f'there is no parameter "{short(self.name)}"{did_you_mean(self.name, self.known)}'

    def advice(self) -> Sequence[str]:
        return (f"the pipeline has: {listing(self.known)}",)


@dataclass(frozen=True, kw_only=True)
class BadParameter(Problem):
    """A value for a parameter that is not of its default's type."""

    name: str
    wants: str
    got: str

    def sentence(self) -> str:
        return f'parameter "{self.name}" is {self.wants}, as its default is; {self.got} is not'


@dataclass(frozen=True, kw_only=True)
class UnknownProfile(Problem):
    name: str
    known: tuple[str, ...]

    def sentence(self) -> str:
        return f'there is no profile "{short(self.name)}"{did_you_mean(self.name, self.known)}'

    def advice(self) -> Sequence[str]:
        return (f"there is: {listing(self.known)}",)
