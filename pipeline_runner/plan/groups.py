"""Which stages live together: edges become streams or barriers, streams make groups, and some of them one trip.

Everything here is linear in stages and edges, and nothing recurses: 10,000 stages in a row are planned in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pipeline_runner.axes import Style
from pipeline_runner.classes import replace
from pipeline_runner.plan.graph import Graph
from pipeline_runner.plan.links import Link
from pipeline_runner.plan.plan import Chain, Edge, EdgeKind, Group, StagePlan
from pipeline_runner.plan.skips import is_off
from pipeline_runner.plan.sorting import arranged, circles
from pipeline_runner.spec.pipeline import FromStage, StageName, StageSpec
from pipeline_runner.syntax.expressions import references

Stages = Mapping[StageName, StagePlan]


# Edges


def edges(graph: Graph, stages: Stages) -> tuple[Edge, ...]:
    """One edge for each pair of stages, sources in the order of `stages`. Whatever needs more decides its kind."""
    found = [
        edge(stages[source], stages[target], graph.sources[target][source])
        for source in stages
        for target in graph.targets[source]
    ]
    return _without_circles(stages, found)


def edge(source: StagePlan, target: StagePlan, links: Sequence[Link]) -> Edge:
    """What one stage may do while the other runs, with the reason."""
    return Edge(source.spec.name, target.spec.name, *_kind(source, target, links))


def _kind(source: StagePlan, target: StagePlan, links: Sequence[Link]) -> tuple[EdgeKind, str]:
    reading = [link for link in links if link.reads]
    if is_off(target.spec):
        return EdgeKind.ORDER, "{target} is skipped, and reads nothing"
    if not reading:
        return EdgeKind.ORDER, "{target} only comes after {source}"
    if target.spec.always:
        return EdgeKind.BARRIER, "{target} runs however {source} ends"
    if any(link.key == "if" for link in links):
        return EdgeKind.BARRIER, "whether {target} runs is known when {source} has ended"
    if target.spec.waits:
        return EdgeKind.BARRIER, "whether {target} runs is not known while {source} does"
    if len(reading) < len(links):
        return EdgeKind.BARRIER, "{target} needs {source} to come first"
    whole = next((link for link in reading if link.key != "over"), None)
    if whole is not None:
        return EdgeKind.BARRIER, f'"{whole.key}" of {{target}} takes all of {{source}}'
    if source.spec.over is None:
        return EdgeKind.BARRIER, "{source} is one call: its value is taken apart when it is there"
    if not all(link.items for link in reading):
        return EdgeKind.BARRIER, '"over" of {target} is made of the whole list of {source}'
    if not source.choice.returns.streams:
        return EdgeKind.BARRIER, f"{{source}} returns {source.choice.returns}, which is there when all of it is"
    if not target.choice.method.lazy:
        return EdgeKind.BARRIER, f"{target.choice.method.name} wants all its input before it starts"
    return EdgeKind.STREAM, f"{{source}} returns {source.choice.returns}, and {{target}} takes calls as they come"


def could_stream(source: StagePlan, target: StageSpec, links: Sequence[Link]) -> bool:
    """Whether an edge would be a stream, whatever the target's method."""
    return (
        not target.waits
        and source.spec.over is not None
        and source.choice.returns.streams
        and all(link.items for link in links)
    )


def _without_circles(stages: Stages, found: Sequence[Edge]) -> tuple[Edge, ...]:
    """The same edges, those streams made barriers that would have stages wait for one another.

    Stages joined by streams begin together, so a stage of a group cannot wait for the end of
    something that another stage of it feeds. Such knots are rare; only inside them are streams
    given up, and only those that cross from one level of barriers to a higher one.
    """
    member = _members(stages, found)
    between = [(member[edge.source], member[edge.target]) for edge in found if edge.kind is not EdgeKind.STREAM]
    knots = circles(dict.fromkeys(member.values()), between)
    knot_of = {first: number for number, knot in enumerate(knots) for first in knot}
    if not knots:
        return tuple(found)
    level = _levels([edge for edge in found if _inside(edge, member, knot_of)])
    return tuple(
        replace(edge, kind=EdgeKind.BARRIER, because="another way from {source} to {target} waits for all of it")
        if edge.kind is EdgeKind.STREAM and _inside(edge, member, knot_of) and level[edge.source] != level[edge.target]
        else edge
        for edge in found
    )


def _members(stages: Iterable[StageName], found: Iterable[Edge]) -> dict[StageName, StageName]:
    """Of each stage the one that stands for the group that it would be in."""
    leads = {name: name for name in stages}

    def stands(name: StageName) -> StageName:
        while leads[name] != name:
            leads[name] = name = leads[leads[name]]  # the way is shorter each time that it is gone
        return name

    for edge in found:
        if edge.kind is EdgeKind.STREAM:
            leads[stands(edge.target)] = stands(edge.source)
    return {name: stands(name) for name in leads}


def _inside(edge: Edge, member: Mapping[StageName, StageName], knot_of: Mapping[StageName, int]) -> bool:
    """Whether both ends are in the same knot."""
    knot = knot_of.get(member[edge.source])
    return knot is not None and knot == knot_of.get(member[edge.target])


def _levels(found: Sequence[Edge]) -> dict[StageName, int]:
    """How many barriers lie before each stage. The edges come in an order in which sources are met before readers."""
    level: dict[StageName, int] = {}
    for edge in found:
        before = level.setdefault(edge.source, 0)
        after = before if edge.kind is EdgeKind.STREAM else before + 1
        level[edge.target] = max(level.get(edge.target, 0), after)
    return level


# Groups, chains, waves


def groups(stages: Stages, found: Sequence[Edge]) -> tuple[tuple[Group, ...], tuple[tuple[int, ...], ...]]:
    """The groups in an order in which they could run one by one, and their waves."""
    member = _members(stages, found)
    between = [(member[edge.source], member[edge.target]) for edge in found]
    between = [(source, target) for source, target in between if source != target]
    ordered = arranged(dict.fromkeys(member.values()), between)
    number = {first: place for place, first in enumerate(ordered)}
    inside: list[list[Chain]] = [[] for _ in ordered]
    for chain in chains(stages, found):
        inside[number[member[chain.head]]].append(chain)
    waves = _waves(len(ordered), [(number[source], number[target]) for source, target in between])
    return tuple(Group(tuple(chain)) for chain in inside), waves


def _waves(groups: int, between: Iterable[tuple[int, int]]) -> tuple[tuple[int, ...], ...]:
    """Each group in the first wave that it can be in. Edges lead from lower numbers to higher ones."""
    wave = [0] * groups
    for source, target in sorted(between):
        wave[target] = max(wave[target], wave[source] + 1)
    found: list[list[int]] = [[] for _ in range(max(wave, default=-1) + 1)]
    for group, number in enumerate(wave):
        found[number].append(group)
    return tuple(map(tuple, found))


def chains(stages: Stages, found: Sequence[Edge]) -> list[Chain]:
    """Every stage in exactly one chain; chains in the order of their heads."""
    streams_out: dict[StageName, list[StageName]] = {}
    waits_for: dict[StageName, set[StageName]] = {name: set() for name in stages}
    for edge in found:
        if edge.kind is EdgeKind.STREAM:
            streams_out.setdefault(edge.source, []).append(edge.target)
        else:
            waits_for[edge.target].add(edge.source)
    made: dict[StageName, list[StageName]] = {}  # every stage → the chain it is in
    for name in stages:
        chain = made.setdefault(name, [name])
        readers = streams_out.get(name, [])
        if len(readers) != 1 or not fuses(stages[name], stages[readers[0]]):
            continue
        # A reader that waits for more than the chain's head would hold the whole chain back.
        if waits_for[readers[0]] <= waits_for[chain[0]]:
            chain.append(readers[0])
            made[readers[0]] = chain
    return [Chain(tuple(made[name])) for name in stages if made[name][0] == name]


def fuses(first: StagePlan, second: StagePlan) -> bool:
    """Whether a chunk of one stage could go through the other in the same worker, on the same trip."""
    a, b = first.spec, second.spec
    return (
        isinstance(b.over, FromStage)
        and second.choice.style is Style.MAP
        and _pool(first) == _pool(second)
        and a.timeout_s is b.timeout_s is None
        and a.memory_bytes is b.memory_bytes is None
        and b.chunk in (None, a.chunk)
        and b.window in (None, a.window)
        and not (a.waits or b.waits or a.limits or b.limits)
        and a.priority == b.priority
        and not any(reference.root in ("item", "index") for reference in references([b.constants, list(b.deps)]))
        # Calls of a trip are reused from its beginning on: what is made in every run does not come before what is not.
        and (a.cache or not b.cache)
        and not (a.outs or b.outs)  # what stands of them is looked after stage by stage
    )


def _pool(stage: StagePlan) -> tuple[object, ...]:
    """What makes two stages able to share a worker."""
    spec = stage.spec
    return (
        stage.choice.method.name,
        stage.choice.backend.name,
        stage.start_method,
        stage.workers,
        spec.max_calls_per_worker,
        spec.setup,
        spec.setup_with,
        spec.env,
        spec.folder,
        stage.threads,
        spec.workdir,
    )
