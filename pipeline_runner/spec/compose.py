"""A stage that is another file's pipeline: its stages are put in its place, under names such as `outer.inner`.

What the outer stage says holds for all of them. What it waits for, those wait for that begin the inner pipeline, and
its value is that of the stages that end it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pipeline_runner.classes import dataclass, field, replace
from pipeline_runner.errors import Problem
from pipeline_runner.marks import Mark
from pipeline_runner.spec.merge import PASSED_ON
from pipeline_runner.spec.pipeline import Composed, Condition, PipelineSpec, Secret, StageName, StageSpec, holds
from pipeline_runner.spec.problems import BadReference, BesidePipeline
from pipeline_runner.spec.rewire import Rename, Within, inward, rewired
from pipeline_runner.syntax.expressions import Ends, ExpressionError
from pipeline_runner.syntax.reader import MapNode, plain

OWN = ("pipeline", "params", "allow_outside", "needs", "if", "description")


def unsuited(node: MapNode) -> Iterator[Problem]:
    """Keys of a stage that cannot stand beside `pipeline`."""
    for key, entry in node.entries.items():
        if key not in (*OWN, *PASSED_ON) and plain(entry.value) is not None:
            yield BesidePipeline(mark=entry.key.mark, key=str(key), known=(*OWN[1:], *PASSED_ON))


@dataclass(frozen=True)
class Part:
    """A stage that is a pipeline of its own, before its stages are put in its place."""

    name: StageName
    inner: PipelineSpec
    needs: tuple[StageName, ...] = ()
    condition: Condition | None = None
    marks: Mapping[str, Mark] = field(default_factory=dict)
    said: tuple[str, ...] = ()  # the stages that its file has, by their names in it, and those of files within it


def with_parts(
    spec: PipelineSpec, parts: Mapping[StageName, Part], order: Sequence[str], problems: list[Problem]
) -> PipelineSpec:
    """The pipeline with each part's stages in its place, all in the order of the file."""
    if not parts:
        return spec
    composed = {name: one for part in parts.values() for name, one in _composed(part)}
    stages: dict[StageName, StageSpec] = {}
    for name in map(StageName, order):
        if name in parts:
            try:
                stages |= _inside(parts[name], spec)
            except Undecided:
                what = "this and an `if` within that file are both only known during the run"
                cure = "say one of them in a stage that gives a parameter, or in the other's place"
                problems.append(BadReference(mark=parts[name].marks.get("if"), what=what, cure=cure))
        elif name in spec.stages:
            stages[name] = spec.stages[name]
    standing = _standing(composed, [*stages, *(f"{part.name}.{name}" for part in parts.values() for name in part.said)])
    to: Rename = lambda name: standing.get(name, name)  # noqa: E731
    last = {name: _last(name, stages) for name in composed}
    made = {name: _renamed(stage, to, last, problems) for name, stage in stages.items()}
    inner = [part.inner for part in parts.values()]
    return replace(
        spec,
        stages=made,
        composed=composed,
        limits={**{token: count for one in inner for token, count in one.limits.items()}, **spec.limits},
        secrets=_secrets(spec, parts.values()),
    )


def _secrets(spec: PipelineSpec, parts: Iterable[Part]) -> tuple[Secret, ...]:
    """The secrets of all files, with those that read them under their names from outside."""
    found = {secret.name: secret for secret in spec.secrets}
    for part in parts:
        named = {name: StageName(f"{part.name}.{name}") for name in part.inner.stages}
        for name, secret in found.items():
            if part.name in secret.readers:
                found[name] = replace(secret, readers=secret.readers - {part.name} | set(named.values()))
        for secret in part.inner.secrets:
            readers = set(named.values()) if secret.everywhere else {named[name] for name in secret.readers}
            known = found.get(secret.name) or replace(secret, everywhere=False, readers=frozenset())
            found[secret.name] = replace(known, readers=known.readers | readers)
    return tuple(found.values())


def _standing(composed: Mapping[StageName, Composed], stages: Iterable[str]) -> Mapping[str, Within]:
    """What the name of each part means, with the stages in it by their own names."""
    below: dict[str, dict[str, Ends | Within]] = {name: {} for name in composed}
    found = {str(name): Within(one.ends, below[name]) for name, one in composed.items()}
    for name in (*stages, *composed):
        part, _, own = name.rpartition(".")
        if part in below:  # else its name is no good, and will be told
            below[part][own] = found.get(name, str(name))
    return found


def _composed(part: Part) -> Iterator[tuple[StageName, Composed]]:
    """A part, and those within it, as they are named from outside."""
    yield part.name, Composed(_ends(part), part.inner.file)
    for name, one in part.inner.composed.items():
        yield StageName(f"{part.name}.{name}"), replace(one, ends=_prefixed(one.ends, part.name))


def _ends(part: Part) -> Ends:
    """What the value of a part is made of: its last stage, or several by their names."""
    inner = part.inner
    read = {(_unit(name), _unit(source)) for name, stage in inner.stages.items() for source in reads(stage)}
    followed = {source for reader, source in read if reader != source}
    last = [unit for unit in dict.fromkeys(map(_unit, inner.stages)) if unit not in followed]
    own = {unit: one.ends if (one := inner.composed.get(StageName(unit))) else unit for unit in last}
    ends = {unit: _prefixed(end, part.name) for unit, end in own.items()}
    return next(iter(ends.values())) if len(ends) == 1 else ends


def _unit(name: str) -> str:
    return name.partition(".")[0]


def _prefixed(ends: Ends, name: str) -> Ends:
    return f"{name}.{ends}" if isinstance(ends, str) else {key: _prefixed(end, name) for key, end in ends.items()}


def reads(stage: StageSpec) -> list[str]:
    """The stages that a stage names, in any of its keys."""
    found: list[str] = list(stage.needs)

    def note(name: str) -> str:
        found.append(name)
        return name

    rewired(stage, note)
    return found


def _inside(part: Part, outer: PipelineSpec) -> Iterator[tuple[StageName, StageSpec]]:
    """The stages of a part under their names from outside."""
    inner = part.inner
    to = inward({name: f"{part.name}.{name}" for name in inner.stages})
    for name, stage in inner.stages.items():
        first = not any(source in inner.stages for source in reads(stage))
        # The others are skipped as what depends on a skipped stage is.
        condition = both(part.condition, stage.condition) if first or stage.always else stage.condition
        folder = stage.folder or inner.folder
        needs = [f"{part.name}.{source}" for source in stage.needs]
        made: StageSpec = rewired(replace(stage, condition=condition), to)
        yield (
            StageName(f"{part.name}.{name}"),
            replace(
                made,
                name=StageName(f"{part.name}.{name}"),
                needs=tuple(map(StageName, [*needs, *(part.needs if first else ())])),
                env={**inner.env, **stage.env},
                folder=None if folder == outer.folder else folder,
                workers=min(filter(None, (stage.workers, inner.workers)), default=None),
                marks=_marks(made, part, zip(stage.needs, needs, strict=True), first),
            ),
        )


class Undecided(Exception):
    """Two conditions that both are only known during the run."""


def both(outer: Condition | None, inner: Condition | None) -> Condition | None:
    """The condition of a stage that is in another: both must hold. Errors: Undecided."""
    if outer is None or inner is None:
        return outer or inner
    always = outer.always or inner.always
    for one, other in ((outer, inner), (inner, outer)):
        if one.known:
            return replace(other, always=always) if holds(one.value) else one
    raise Undecided


def _marks(stage: StageSpec, part: Part, renamed: Iterable[tuple[str, str]], first: bool) -> dict[str, Mark]:
    """Where what a stage says stands, by the names that it says it with now."""
    own = {f"needs.{new}": stage.marks[f"needs.{old}"] for old, new in renamed if f"needs.{old}" in stage.marks}
    outer = {f"needs.{name}": mark for name in part.needs if (mark := part.marks.get(f"needs.{name}"))}
    outer |= {"if": part.marks["if"]} if "if" in part.marks and "if" not in stage.marks else {}
    return {**stage.marks, **own, **(outer if first else {})}


def _last(part: StageName, stages: Mapping[StageName, StageSpec]) -> tuple[StageName, ...]:
    """The stages of a part that no other of it waits for: when these have ended, all of it has."""
    inside = {name: stage for name, stage in stages.items() if name.startswith(f"{part}.")}
    followed = {source for name, stage in inside.items() for source in reads(stage) if source != name}
    return tuple(name for name in inside if name not in followed)


def _renamed(
    stage: StageSpec, to: Rename, last: Mapping[StageName, Sequence[StageName]], problems: list[Problem]
) -> StageSpec:
    """A stage in which `${stages.x}` of a part is what ends it, and `needs: x` all that does."""
    try:
        made: StageSpec = rewired(stage, to)
    except ExpressionError as error:
        key = next((key for key in stage.marks if key and error.message.startswith(key)), "with")
        problems.append(BadReference(mark=stage.mark(key), what=error.message))
        return stage
    if not any(name in last for name in stage.needs):
        return made
    needs = [(name, end) for name in stage.needs for end in last.get(name, (name,))]
    marks = {f"needs.{end}": stage.marks[f"needs.{name}"] for name, end in needs if f"needs.{name}" in stage.marks}
    unique = tuple(dict.fromkeys(end for _, end in needs))
    return replace(made, needs=unique, marks={**stage.marks, **marks})
