"""What can be wrong with a plan: each kind is a value, its sentence is made from its fields."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline_runner.classes import dataclass, field
from pipeline_runner.errors import Problem, did_you_mean, listed

AXES = {"dispatch": "dispatch", "style": "args", "returns": "returns", "backend": "backend"}  # ours → the YAML key


@dataclass(frozen=True, kw_only=True)
class UnknownStage(Problem):
    """A reference or `needs` names a stage that there is not."""

    stage: str
    key: str  # where: over, with, needs, …
    unknown: str
    known: tuple[str, ...] = field(default=(), repr=False)

    def sentence(self) -> str:
        guess = did_you_mean(self.unknown, [name for name in self.known if name != self.stage])
        return f'stage "{self.stage}" names an unknown stage "{self.unknown}" in "{self.key}"{guess}'


@dataclass(frozen=True, kw_only=True)
class CycleOfStages(Problem):
    """Stages that wait for one another."""

    stages: tuple[str, ...]  # the first again at the end
    key: str  # where the first of them names the last

    def sentence(self) -> str:
        if len(self.stages) == 2:
            return f'stage "{self.stages[0]}" waits for itself'
        return "stages wait for one another in a circle: " + " → ".join(f'"{name}"' for name in self.stages)

    def advice(self) -> Sequence[str]:
        return [f'Each arrow is a reference or a "needs"; this one is in "{self.key}". Take one of them away.']


@dataclass(frozen=True, kw_only=True)
class ReadsNothing(Problem):
    """A stage reads what another was told not to keep."""

    stage: str
    source: str
    key: str

    def sentence(self) -> str:
        return f'stage "{self.stage}" reads "{self.source}", which keeps nothing (returns: none)'

    def advice(self) -> Sequence[str]:
        return [
            f"To come after it without its values: needs: [{self.source}].",
            f'To read them, take "returns: none" away from "{self.source}".',
        ]


@dataclass(frozen=True, kw_only=True)
class UnknownMethod(Problem):
    stage: str
    method: str
    known: tuple[str, ...] = field(default=(), repr=False)

    def sentence(self) -> str:
        return f'unknown method "{self.method}" in stage "{self.stage}"{did_you_mean(self.method, self.known)}'

    def advice(self) -> Sequence[str]:
        last = self.method.rpartition(".")[2]
        alike = [name for name in self.known if name.rpartition(".")[2] == last]
        return [f'Methods called "{last}": {", ".join(alike)}'] if alike else ["`prun methods` lists them all."]


@dataclass(frozen=True, kw_only=True)
class UnknownBackend(Problem):
    stage: str
    backend: str
    known: tuple[str, ...] = ()

    def sentence(self) -> str:
        return f'unknown backend "{self.backend}" in stage "{self.stage}"{did_you_mean(self.backend, self.known)}'

    def advice(self) -> Sequence[str]:
        return [f"Known: {', '.join(self.known)}"]


@dataclass(frozen=True, kw_only=True)
class NoItems(Problem):
    """Many calls are asked for, and there is nothing to make them of."""

    stage: str
    key: str  # "args" or "method"
    word: str  # what was written there

    def sentence(self) -> str:
        return f'{self.key} "{self.word}" makes a call for each item, and stage "{self.stage}" has no "over"'

    def advice(self) -> Sequence[str]:
        if self.key == "args":
            return ['Say where the items come from with "over", or leave "args" out: one call, from "with".']
        return ['Say where the items come from with "over", or leave "method" out: one call, from "with".']


@dataclass(frozen=True, kw_only=True)
class SourceMisfits(Problem):
    """What `over` gives is not what the argument style, or the method, takes."""

    stage: str
    key: str  # "args" or "method"
    word: str
    gives: str  # "columns" or "items"
    fitting: tuple[str, ...]  # other words for the key that would do

    def sentence(self) -> str:
        takes = "one argument a call" if self.gives == "columns" else "a source for each parameter"
        has = "several sources side by side" if self.gives == "columns" else "one source"
        return f'{self.key} "{self.word}" takes {takes}, and "over" of stage "{self.stage}" gives {has}'

    def advice(self) -> Sequence[str]:
        return [f"What fits: {', '.join(self.fitting)}"] if self.fitting else []


@dataclass(frozen=True, kw_only=True)
class MethodContradicts(Problem):
    """The named method is not what another key of the stage says."""

    stage: str
    method: str
    key: str  # dispatch, args, returns, backend
    asked: str
    really: tuple[str, ...]  # what the method offers there
    note: str = ""  # why the survey's article says what was asked, and is out of date
    fitting: tuple[str, ...] = ()  # methods that are all that the stage asks for
    more: tuple[MethodContradicts, ...] = ()  # the same of other keys

    def sentence(self) -> str:
        all_keys = (self, *self.more)
        says = listed([f"{one.key}: {one.asked}" for one in all_keys])
        has = listed([f"{one.key}: {listed(one.really, 'or')}" for one in all_keys])
        return f'stage "{self.stage}" says {says}, but method "{self.method}" has {has}'

    def advice(self) -> Sequence[str]:
        all_keys = (self, *self.more)
        lines = [
            f'The survey does call it "{one.asked}", but that is out of date: {one.note}'
            for one in all_keys
            if one.note
        ]
        if self.fitting:
            lines.append(f"These have {listed([f'{one.key}: {one.asked}' for one in all_keys])}")
            lines += [f"  {name}" for name in self.fitting]
        keys = listed([f'"{one.key}"' for one in all_keys])
        return [*lines, f'Or leave out {keys}, or "method".']


@dataclass(frozen=True)
class Near:
    """A method that almost fits, and what would have to change for it."""

    method: str
    changes: tuple[tuple[str, str], ...]  # (key, what it would have to say)

    def __str__(self) -> str:
        return f"{self.method}, with {' and '.join(f'{key}: {value}' for key, value in self.changes)}"


@dataclass(frozen=True, kw_only=True)
class NoMethod(Problem):
    """No method of the table offers what the stage asks for."""

    stage: str
    asked: tuple[tuple[str, str], ...]  # (key, what it says), those that were written or follow from `over`
    nearest: tuple[Near, ...]

    def sentence(self) -> str:
        asked = " with ".join(f"{key}: {value}" for key, value in self.asked)
        return f'no method offers what stage "{self.stage}" asks for: {asked}'

    def advice(self) -> Sequence[str]:
        return ["The nearest that exist:", *(f"  {near}" for near in self.nearest)] if self.nearest else []


@dataclass(frozen=True, kw_only=True)
class StreamIntoEager(Problem):
    """A stream was written down, and so was a method that wants all its input before it starts."""

    stage: str
    method: str
    source: str
    lazy: tuple[str, ...]  # methods that take calls as they come, and fit

    def sentence(self) -> str:
        return f'stage "{self.stage}" cannot take a stream with method "{self.method}"'

    def advice(self) -> Sequence[str]:
        short = ".".join(self.method.split(".")[-2:])
        lines = [f"{short} wants all its input before it starts."]
        if self.lazy:
            lines = [f"{lines[0]} These take calls as they come:", *(f"  {name}" for name in self.lazy)]
        return [*lines, f'Or let "{self.source}" return a list, and "{self.stage}" waits for all of it.']


@dataclass(frozen=True, kw_only=True)
class StartMethodMisfits(Problem):
    stage: str
    start_method: str
    backend: str
    offers: tuple[str, ...]  # empty: starts its workers in its own way
    fitting: tuple[str, ...]  # backends that can

    def sentence(self) -> str:
        return f'stage "{self.stage}" asks for start_method "{self.start_method}", which {self.backend} does not offer'

    def advice(self) -> Sequence[str]:
        own = f"It offers {listed(self.offers)}." if self.offers else "It starts its workers in its own way."
        return [f'{own} Leave out "start_method", or choose a backend that has it: {", ".join(self.fitting)}']


@dataclass(frozen=True, kw_only=True)
class InProcessMisfits(Problem):
    """What only a worker process can promise is asked of calls that run in the runner itself."""

    stage: str
    key: str  # timeout, memory, max_calls_per_worker, workdir; pipeline: of a file in another folder
    backend: str
    fitting: tuple[str, ...]  # backends that can

    def sentence(self) -> str:
        return f'stage "{self.stage}" asks for "{self.key}", which backend "{self.backend}" cannot give'

    def advice(self) -> Sequence[str]:
        why = "all share one folder" if self.key in ("workdir", "pipeline") else "no worker can be ended"
        return [
            f"Its calls run in the runner itself, where {why}.",
            f"These have worker processes: {', '.join(self.fitting)}",
        ]


@dataclass(frozen=True, kw_only=True)
class BackendCannot(Problem):
    """A key that workers on a cluster cannot keep to."""

    stage: str
    key: str
    backend: str
    why: str
    fitting: tuple[str, ...]  # backends that can

    def sentence(self) -> str:
        return f'stage "{self.stage}" asks for "{self.key}", which backend "{self.backend}" cannot give'

    def advice(self) -> Sequence[str]:
        return [f"{self.why[:1].upper()}{self.why[1:]}.", f"These can: {', '.join(self.fitting)}"]


@dataclass(frozen=True, kw_only=True)
class BackendUnavailable(Problem):
    stage: str
    backend: str
    why: str

    def sentence(self) -> str:
        return f'stage "{self.stage}" cannot use backend "{self.backend}" here: {self.why}'


@dataclass(frozen=True, kw_only=True)
class UnequalColumns(Problem):
    """Columns of a zip whose lengths are known, and differ."""

    stage: str
    lengths: tuple[tuple[str, int], ...]  # (column, its length)

    def sentence(self) -> str:
        told = listed([f"{name} has {length}" for name, length in self.lengths])
        return f'the columns of stage "{self.stage}" have unequal lengths: {told}'

    def advice(self) -> Sequence[str]:
        return ['To stop at the end of the shortest: "shortest: true".']


@dataclass(frozen=True, kw_only=True)
class UnknownToken(Problem):
    """A call is to hold a token that nobody has named."""

    stage: str
    token: str
    known: tuple[str, ...]

    def sentence(self) -> str:
        guess = did_you_mean(self.token, self.known)
        return f'stage "{self.stage}" holds tokens "{self.token}", of which there are none{guess}'

    def advice(self) -> Sequence[str]:
        known = f"There is: {', '.join(self.known)}." if self.known else "None are named."
        return [f"{known} Name them at the top of the file:  limits: {{{self.token}: 2}}"]


@dataclass(frozen=True, kw_only=True)
class TooManyTokens(Problem):
    """A call that could never begin."""

    stage: str
    token: str
    asked: int
    there_are: int

    def sentence(self) -> str:
        have = "there is 1" if self.there_are == 1 else f"there are {self.there_are}"
        return f'each call of stage "{self.stage}" holds {self.asked} tokens "{self.token}", and {have}'

    def advice(self) -> Sequence[str]:
        return [f"At the top of the file:  limits: {{{self.token}: {self.asked}}}  or more; or ask for fewer here."]


@dataclass(frozen=True, kw_only=True)
class WorkdirMissing(Problem):
    """The folder in which calls are to run is not there, and no stage before could make it."""

    stage: str
    workdir: str

    def sentence(self) -> str:
        return f'stage "{self.stage}" runs in "{self.workdir}", which is no folder'

    def advice(self) -> Sequence[str]:
        return [
            "Folders are looked for beside the pipeline. Make it, or let a stage make it that this one needs.",
        ]
