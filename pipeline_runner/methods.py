"""What a backend and its methods are, as data: plan, `prun methods`, schema, docs and tests share these rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from pipeline_runner.axes import Dispatch, Returns, StartMethod, Style
from pipeline_runner.calls import Chunks, Perform, Receipt
from pipeline_runner.classes import dataclass, field
from pipeline_runner.typed import Any, Protocol


class Process(Protocol):
    """A worker process as its library shows it: multiprocessing's Process is one."""

    @property
    def pid(self) -> int | None: ...
    @property
    def exitcode(self) -> int | None: ...  # None while alive, -N for signal N


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Where the workers of a backend are that has its own: what the pipeline says of it at its top."""

    workers: int = 1  # of the run: so many are started, where we start them
    options: tuple[tuple[str, Any], ...] = ()

    def get(self, name: str) -> Any:
        """What the pipeline says, or None."""
        return dict(self.options).get(name)


@dataclass(frozen=True, kw_only=True)
class PoolSettings:
    """What a pool is opened with. Two stages may share a warm pool when theirs are equal."""

    workers: int
    start_method: StartMethod = StartMethod.FORKSERVER
    max_calls_per_worker: int | None = None  # chunks, for the library: the engine then sends one call a chunk
    setup: str = ""  # tells apart pools whose workers were set up differently; the worker does the setting up
    env: tuple[tuple[str, str], ...] = ()
    workdir: str = ""  # where its workers are; empty: in the pipeline's folder
    cluster: Cluster | None = None  # None: its workers are processes of ours


Ask = Callable[[Any, Perform, Chunks], Iterable[Receipt]]


@dataclass(frozen=True, kw_only=True)
class Surveyed:
    """The article's word for a row, kept beside ours."""

    dispatch: Dispatch
    style: Style
    returns: Returns


@dataclass(frozen=True, kw_only=True)
class Method:
    """One way that a library offers to run a function many times, and what measurement says of it.

    `ask` gives the receipts of its chunks as the library hands them back; it blocks where the
    library blocks. It may raise what the library raises; a call's own error never does.
    """

    name: str  # canonical: "multiprocessing.Pool.starmap_async"
    dispatch: Dispatch
    style: Style  # the shape in which the pool itself is asked
    returns: Returns
    ask: Ask
    lazy: bool  # takes its input as it goes; False: wants all of it before it starts
    ordered: bool  # gives results in call order
    parallel: bool  # two calls run at the same time
    refills: bool  # a free worker takes the next task while another is busy
    serializer: str  # "pickle", "dill", "source text", "none"
    on_raise: str  # what a raised exception does without us
    on_death: str  # what a killed worker does without us
    surveyed: Surveyed | None = None  # None: not in the article
    also_styles: frozenset[Style] = frozenset()  # styles it carries besides its own: one column is a map
    also_returns: frozenset[Returns] = frozenset()
    aliases: tuple[str, ...] = ()
    note: str = ""  # a trap, or where the article is out of date
    shared: bool = False  # several threads may ask one pool at the same time, and it hands each what is its own
    price: int = 1  # of a chunk, in messages to a worker that is there: chunks are so many times as long

    @property
    def styles(self) -> frozenset[Style]:
        return self.also_styles | {self.style}

    @property
    def offers(self) -> frozenset[Returns]:
        """The kinds of `returns` that a stage on this method may ask for; anything can be thrown away."""
        return self.also_returns | {self.returns, Returns.NONE}


@dataclass(frozen=True, kw_only=True)
class Backend:
    """A library that has methods. Each file of `backends/` ends in one."""

    name: str  # the class that is opened: "multiprocessing.Pool"
    keyword: str  # what `backend:` in YAML calls it
    methods: Sequence[Method]
    open: Callable[[PoolSettings], Any]  # imports its library
    close: Callable[[Any], None]  # nothing is owed: let the workers go and wait for them
    kill: Callable[[Any], None]  # end every process now and wake whoever waits in `ask`, with an error or an end
    processes: Callable[[Any], Sequence[Process]]  # those alive now, and those that the library has not yet forgotten
    start_methods: frozenset[StartMethod] = frozenset(StartMethod)  # empty: starts its workers in its own way
    library: str = ""  # whose fork server its workers may come from
    in_process: bool = False  # calls run in the runner itself (threads, serial)
    local: bool = (
        True  # the workers can reach the beacon; False: deputies on a cluster do, and their receipts are letters
    )
    brief: Callable[[Any, bytes, Callable[[Receipt], None]], None] | None = None
    """Hands a cluster what its deputies must know of the stage that is asked for next, and whom to tell each receipt at
    once: in no order, and whether or not anybody waits for it in `ask`."""
    rank: int = 50  # who is preferred when several fit; smaller first
    raw: Callable[[int], Any] | None = None
    """The library's pool of so many workers as anyone would make it, without our guards; `ask` takes it
    like an opened one. Only for measuring. None: there is nothing between us and the library."""
    unavailable: Callable[[], str | None] = field(default=lambda: None)  # why it cannot be used here, or None
    cannot: Mapping[str, str] = field(default_factory=dict)  # keys of a stage that it cannot keep to, and why

    @property
    def uses_cpus(self) -> bool:
        """Whether its workers are processes beside the runner, which the run counts and can see."""
        return self.local and not self.in_process
