"""The plan: what will run, in which company, by which method, and why. Values only; the deciding is beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cached_property

from pipeline_runner.axes import Returns, StartMethod, Style
from pipeline_runner.classes import dataclass, field, replace
from pipeline_runner.methods import Backend, Method
from pipeline_runner.spec.pipeline import PipelineSpec, StageName, StageSpec


class EdgeKind(StrEnum):
    """What a reader may do while its source still runs."""

    STREAM = "stream"  # begin
    BARRIER = "barrier"  # nothing: it needs all of it
    ORDER = "order"  # nothing, and it reads nothing (`needs`)


@dataclass(frozen=True)
class Edge:
    source: StageName
    target: StageName
    kind: EdgeKind
    because: str = ""  # a clause, in which {source} and {target} stand for their names: thousands say the same

    @property
    def why(self) -> str:
        """The clause: 'count only comes after read'."""
        return self.because.replace("{source}", self.source).replace("{target}", self.target)


@dataclass(frozen=True)
class Choice:
    """The method of a stage and the reason, with what would have been next."""

    method: Method
    backend: Backend
    style: Style  # the stage's argument style
    returns: Returns  # what the stage hands back
    why: str
    runner_up: Method | None = None
    why_not: str = ""  # why the runner-up came second


@dataclass(frozen=True)
class StagePlan:
    spec: StageSpec
    choice: Choice
    calls: int | None  # how many, where it is known before the run
    workers: int  # at most so many processes
    start_method: StartMethod | None  # None: the backend starts its workers in its own way
    window: int  # chunks in flight
    threads: int | None = None  # of numerical libraries in each worker; None: as they like

    def of(self, spec: StageSpec) -> StagePlan:
        """The same for this stage. `replace` would take five times as long, for thousands."""
        return StagePlan(spec, self.choice, self.calls, self.workers, self.start_method, self.window, self.threads)


@dataclass(frozen=True)
class Chain:
    """Stages fused into one trip: a chunk's items go through all of them in one worker. Often just one stage."""

    stages: tuple[StageName, ...]

    @property
    def head(self) -> StageName:
        return self.stages[0]


@dataclass(frozen=True)
class Group:
    """Chains that are alive together because streams join them."""

    chains: tuple[Chain, ...]

    @property
    def stages(self) -> tuple[StageName, ...]:
        return tuple(stage for chain in self.chains for stage in chain.stages)


@dataclass(frozen=True)
class Plan:
    """How a pipeline will be run: a method for each stage, what reads what, and which stages run side by side."""

    pipeline: PipelineSpec
    workers: int
    stages: Mapping[StageName, StagePlan]  # in an order in which they could run one by one
    edges: tuple[Edge, ...]
    groups: tuple[Group, ...]  # in an order in which they could run one by one
    waves: tuple[tuple[int, ...], ...]  # numbers of groups that may run side by side; for show, never a barrier
    skipped: Mapping[StageName, str] = field(default_factory=dict)  # known before the run, and why: a clause
    hooks: Mapping[StageName, StagePlan] = field(default_factory=dict)  # what runs after all stages
    sample: int | None = None  # only so many items of each source that needs no stage
    taken: frozenset[StageName] = frozenset()  # stages that are not run: what their readers read was made before

    def with_hooks(self) -> Plan:
        """What a run has: the hooks as stages after all others, each by itself."""
        after = tuple(Group((Chain((name,)),)) for name in self.hooks)
        return replace(self, stages={**self.stages, **self.hooks}, groups=(*self.groups, *after))

    def without_places(self) -> Plan:
        """The same without where anything is written: a plan that may run has no problems to tell of, and of thousands
        of stages the words of their file take as much memory as all else."""
        bare = {name: stage.without_places() for name, stage in {**self.pipeline.stages, **self.pipeline.hooks}.items()}
        return replace(
            self,
            pipeline=replace(
                self.pipeline,
                stages={name: bare[name] for name in self.pipeline.stages},
                hooks={name: bare[name] for name in self.pipeline.hooks},
            ),
            stages={name: stage.of(bare[name]) for name, stage in self.stages.items()},
            hooks={name: stage.of(bare[name]) for name, stage in self.hooks.items()},
        )

    def sources(self, stage: StageName) -> tuple[Edge, ...]:
        """What the stage waits for or reads."""
        return self._by_target.get(stage, ())

    def readers(self, stage: StageName) -> tuple[Edge, ...]:
        """Who waits for the stage or reads it."""
        return self._by_source.get(stage, ())

    def in_any_order(self, chain: Chain) -> bool:
        """Whether it is all one in which order its calls are made: no other stage reads along what it gives, and all of
        its items are taken."""
        readers = (edge for name in chain.stages for edge in self.readers(name) if edge.kind is EdgeKind.STREAM)
        return self.sample is None and all(edge.target in chain.stages for edge in readers)

    def read(self, stage: StageName) -> bool:
        """Whether another stage reads what it gives. One that only `needs` it does not."""
        return stage in self._read

    # Looked up once for all stages: a search for each would make thousands of stages slow.

    @cached_property
    def _read(self) -> frozenset[StageName]:
        return frozenset(edge.source for edge in self.edges if edge.kind is not EdgeKind.ORDER)

    @cached_property
    def _by_target(self) -> Mapping[StageName, tuple[Edge, ...]]:
        return _gathered((edge.target, edge) for edge in self.edges)

    @cached_property
    def _by_source(self) -> Mapping[StageName, tuple[Edge, ...]]:
        return _gathered((edge.source, edge) for edge in self.edges)

    def explain(self) -> str:
        """The plan for people."""
        from pipeline_runner.plan.explain import explain

        return explain(self)

    def to_json(self) -> dict[str, object]:
        """The plan as plain data."""
        from pipeline_runner.plan.explain import as_json

        return as_json(self)


def _gathered(pairs: Iterable[tuple[StageName, Edge]]) -> Mapping[StageName, tuple[Edge, ...]]:
    found: dict[StageName, list[Edge]] = {}
    for stage, edge in pairs:
        found.setdefault(stage, []).append(edge)
    return {stage: tuple(edges) for stage, edges in found.items()}
