"""The checked meaning of a pipeline: what plan and engine work from, whether it came from YAML or from Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from pipeline_runner.axes import Dispatch, OnError, Returns, StartMethod, Style
from pipeline_runner.classes import dataclass, field, left_out
from pipeline_runner.marks import Mark
from pipeline_runner.syntax.expressions import Ends, Expression, Reference
from pipeline_runner.typed import TYPE_CHECKING, Any, NewType

if TYPE_CHECKING:
    from pipeline_runner.syntax.reader import MapNode
    from pipeline_runner.worker.shell import Stdout

StageName = NewType("StageName", str)


@dataclass(frozen=True)
class Named:
    """`module:function`, or `module:Class.method`."""

    module: str
    attribute: str

    def __str__(self) -> str:
        return f"{self.module}:{self.attribute}"


@dataclass(frozen=True)
class InFile:
    """`file.py:function`: a file found beside the YAML first."""

    path: str  # as written
    attribute: str

    def __str__(self) -> str:
        return f"{self.path}:{self.attribute}"


@dataclass(frozen=True, eq=False)
class Given:
    """A Python function handed to the API: lambda, closure, notebook cell. Travels by dill where it must."""

    function: Callable[..., Any]

    def __str__(self) -> str:
        return getattr(self.function, "__qualname__", None) or repr(self.function)


Function = Named | InFile | Given


@dataclass(frozen=True)
class Command:
    """A command in place of a function: its calls are given it as the one argument `command`, filled in."""

    written: str
    stdout: Stdout = "text"

    def __str__(self) -> str:
        return self.written


@dataclass(frozen=True, eq=False)
class Items:
    """A list in the YAML, a parameter that is a list, or any iterable given in Python (then perhaps lazy)."""

    values: Iterable[Any]


@dataclass(frozen=True)
class FromStage:
    """`${stages.x}`: the items of another stage; `path` says what is taken of a single call's value."""

    reference: Reference  # reference.root == "stages", reference.path[0] is the stage's name

    @property
    def stage(self) -> StageName:
        return StageName(str(self.reference.path[0]))


@dataclass(frozen=True)
class Computed:
    """`${stages.x | sort}`: the items of a value that is known when the stages in it have ended."""

    template: Expression


@dataclass(frozen=True)
class Range:
    start: int
    stop: int
    step: int = 1


@dataclass(frozen=True)
class Glob:
    pattern: str  # relative to the pipeline's folder, which stays out of the items; sorted; or a URL


@dataclass(frozen=True)
class Lines:
    path: str  # of a file, perhaps compressed; or a URL


@dataclass(frozen=True)
class Csv:
    path: str  # rows are mappings, read lazily


@dataclass(frozen=True)
class Jsonl:
    path: str


@dataclass(frozen=True)
class Generate:
    """A generator function, drawn from lazily; may be endless when `take` bounds it."""

    function: Function
    keywords: Mapping[str, Any] | Sequence[Any] = field(default_factory=dict)  # or positions
    take: int | None = None


@dataclass(frozen=True)
class Zip:
    """Several sources side by side: a[i] with b[i]."""

    columns: tuple[Source, ...]
    names: tuple[str, ...] = ()  # keyword names, one a column; empty: positions


@dataclass(frozen=True)
class Matrix:
    """Every value of each axis with every value of the others, as GitHub Actions expands it; rows are mappings."""

    axes: Mapping[str, Source]  # each of them ends
    include: Sequence[Mapping[str, Any]] = ()
    exclude: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Batches:
    """The items of a source in lists of `size`, the last one shorter."""

    source: Source  # no Zip
    size: int


Source = Items | FromStage | Computed | Range | Glob | Lines | Csv | Jsonl | Generate | Zip | Matrix | Batches


@dataclass(frozen=True)
class Retry:
    """How often, and after which wait, a failed call is tried again."""

    limit: int = 0  # tries after the first
    delay_s: float = 0.0
    backoff: float = 1.0  # each wait is the last one times this
    max_delay_s: float | None = None
    jitter: float = 0.0  # share of the wait that is random, 0 to 1
    on: tuple[str, ...] = ()  # exception class names, or lost, timeout, memory; empty: anything


HOOKS = ("on_success", "on_failure")
_FALSE_TEXTS = ("", "false", "null", "~", "0")


@dataclass(frozen=True)
class Condition:
    """An `if`."""

    value: Any  # a value, or a template of one that is known during the run
    text: str  # as written
    always: bool = False  # also after what was skipped or failed

    @property
    def known(self) -> bool:
        """Whether it is decided before the run."""
        return not isinstance(self.value, Reference | Expression)

    @property
    def waits(self) -> bool:
        """Whether nothing may begin before all sources have ended: they decide, or their end is what it waits for."""
        return self.always or not self.known


def holds(value: Any) -> bool:
    """Whether a condition of this value lets its stage run. Errors: what the value's own class raises.

    A text is what YAML would have read: variables of the environment have no other way to say no.
    """
    return value.strip().lower() not in _FALSE_TEXTS if isinstance(value, str) else bool(value)


@dataclass(frozen=True, kw_only=True)
class StageSpec:
    """One stage, with every default filled in except what the planner chooses (those are None)."""

    name: StageName
    function: Function | Command
    over: Source | None = None  # None: one call
    style: Style | None = None  # `args`; None: choose
    constants: Any = field(default_factory=dict)
    """The `with`: nested lists and mappings whose leaves are values, Reference, Text or another Template.
    A mapping: keywords of every call. A list: positions (only without `over`).
    References to params and env are already their values; stages, item, index and run remain."""
    shortest: bool = False
    dispatch: Dispatch | None = None
    returns: Returns | None = None
    method: str | None = None  # canonical
    backend: str | None = None  # a keyword of the table
    needs: tuple[StageName, ...] = ()
    retry: Retry = Retry()
    timeout_s: float | None = None
    memory_bytes: int | None = None  # most that a worker and its children may hold while a call runs
    on_error: OnError = OnError.STOP
    workers: int | None = None
    chunk: int | None = None  # None: auto
    window: int | None = None  # chunks in flight; None: 4 × workers
    start_method: StartMethod | None = None
    max_calls_per_worker: int | None = None
    setup: Function | None = None
    setup_with: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)  # tokens that each call holds
    priority: int = 0  # of what is ready, the higher goes first
    threads: int | None = None  # of BLAS and OpenMP in a worker
    workdir: str | None = None  # where calls run; None: the pipeline's folder
    folder: Path | None = None  # where its functions and relative paths are found; None: the pipeline's folder
    condition: Condition | None = None  # `if`
    hook: str = ""  # one of HOOKS, for what runs after the run
    cache: bool = False
    salt: str = ""
    deps: Any = ()  # templates of paths
    outs: Any = ()
    allow_outside: bool = False  # of the project's folder, for `outs`
    description: str = ""
    marks: Mapping[str, Mark] = field(default_factory=dict, repr=False, compare=False)
    """Where each key of the stage stands; "" is the stage's name. Empty for stages made in Python.
    Also "needs.x" for one name of `needs`, and str(reference) for the first place of a `${…}`."""
    node: MapNode | None = field(default=None, repr=False, compare=False)  # as it was written, for places inside keys

    @property
    def always(self) -> bool:
        """Whether it runs however its sources ended."""
        return self.condition is not None and self.condition.always

    @property
    def waits(self) -> bool:
        """Whether its condition lets it begin only when all of its sources have ended."""
        return self.condition is not None and self.condition.waits

    @classmethod
    def saying(cls, said: Mapping[str, Any]) -> StageSpec:
        """The stage of which these fields are said. It has no others of its own: of thousands that say five things, the
        thirty that they do not say would be most of the memory, and of the time to make, pickle and copy them."""
        stage = object.__new__(cls)
        vars(stage).update(said)
        return stage

    def without_places(self) -> StageSpec:
        """The same without where it is written, which only problems need."""
        return StageSpec.saying(
            {
                name: value
                for name, value in vars(self).items()
                if name not in ("marks", "node") and (name not in _UNSAID or value != _UNSAID[name])
            }
        )

    def mark(self, *keys: str) -> Mark | None:
        """The place of the first of these keys that was written, else of the stage's name."""
        return next((self.marks[key] for key in (*keys, "") if key in self.marks), None)


_UNSAID = left_out(StageSpec)
for _name, _value in _UNSAID.items():
    setattr(StageSpec, _name, _value)


@dataclass(frozen=True)
class Composed:
    """A stage that is another file's pipeline; that file's stages are in its place, named `it.other`."""

    ends: Ends  # what `${stages.it}` stands for: its last stage, or several by their names
    file: str  # as people call it from where they are


@dataclass(frozen=True)
class Secret:
    """A variable of the environment whose value is shown and kept nowhere."""

    name: str
    value: str | None = field(repr=False)  # None: it is not set
    mark: Mark | None = field(default=None, compare=False)
    everywhere: bool = True  # whether all stages have need of it, rather than those that name it
    readers: frozenset[StageName] = frozenset()  # the stages that name it


@dataclass(frozen=True, kw_only=True)
class PipelineSpec:
    """A whole pipeline, every name in it known to exist except stages (the planner draws that graph)."""

    name: str
    stages: Mapping[StageName, StageSpec]  # in the order of the file
    folder: Path = field(default_factory=Path.cwd)  # where functions and relative paths are found
    file: str = ""  # as the user named it; empty for a pipeline made in Python
    files: frozenset[str] = frozenset()  # all that it was read from, absolute, links followed
    params: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict)  # those of the params that were not left at their defaults
    profile: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    workers: int | None = None
    limits: Mapping[str, int] = field(default_factory=dict)  # how many there are of each token
    clusters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # by backend: where its workers are
    hooks: Mapping[StageName, StageSpec] = field(default_factory=dict)  # what runs after the run
    unsound: Mapping[StageName, StageSpec] = field(
        default_factory=dict
    )  # of stages with problems: only their functions
    secrets: tuple[Secret, ...] = ()
    composed: Mapping[StageName, Composed] = field(default_factory=dict)  # stages in whose place others are
    description: str = ""
    warnings: Sequence[str] = ()  # accepted keys that this version does not act on yet, a sentence each

    def folder_of(self, stage: StageSpec) -> Path:
        """Where functions and relative paths of a stage are found."""
        return self.folder if stage.folder is None else stage.folder

    def named(self, name: str) -> tuple[StageName, ...]:
        """The stages that a name means: itself, or all of another file's; none where there is none of that name."""
        if StageName(name) in self.composed:
            return tuple(stage for stage in self.stages if stage.startswith(f"{name}."))
        return (StageName(name),) if StageName(name) in self.stages else ()
