"""A pipeline given in Python, read by the same rules as one in YAML.

What YAML cannot hold (functions, iterables) stands as a placeholder while the rest is checked, and
is put back afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pipeline_runner.classes import dataclass, replace
from pipeline_runner.errors import PipelineError, Problem
from pipeline_runner.marks import Mark
from pipeline_runner.spec.build import build_node
from pipeline_runner.spec.merge import as_node
from pipeline_runner.spec.over import SOURCES
from pipeline_runner.spec.pipeline import Batches, Given, Items, PipelineSpec, Range, Source, StageName, StageSpec, Zip
from pipeline_runner.syntax.reader import Entry, ListNode, MapNode, Node, Scalar, Value
from pipeline_runner.typed import Any, Protocol

_FUNCTION = "given:function"
_ITEMS = {"lines": "(given in Python)"}  # a source whose length nobody can know before it is opened


class GivenStage(Protocol):
    """A stage as Python gives it: stages.Stage is one."""

    @property
    def name(self) -> str: ...
    @property
    def call(self) -> Callable[..., Any] | str | None: ...
    @property
    def run(self) -> str | Sequence[object] | None: ...
    @property
    def over(self) -> Any: ...
    @property
    def keys(self) -> Mapping[str, Any]: ...
    @property
    def mark(self) -> Mark: ...


@dataclass(frozen=True, kw_only=True)
class StageTwice(Problem):
    """Two stages of a pipeline have one name."""

    stage: str
    first: Mark

    def sentence(self) -> str:
        return f'stage "{self.stage}" is there twice; first at {self.first}'

    def advice(self) -> Sequence[str]:
        return ("give each stage a name of its own",)


@dataclass(frozen=True, kw_only=True)
class NothingGiven(Problem):
    """Neither a function nor a name of one."""

    stage: str
    got: str

    def sentence(self) -> str:
        return f'stage "{self.stage}" calls {self.got}, which is no function'

    def advice(self) -> Sequence[str]:
        return ('give a function, or its name as "module:function"',)


@dataclass(frozen=True, kw_only=True)
class NothingToGoOver(Problem):
    """An `over` that has no items."""

    stage: str
    got: str

    def sentence(self) -> str:
        return f'stage "{self.stage}" goes over a value of type {self.got}, which has no items'

    def advice(self) -> Sequence[str]:
        return ("give a list or anything else that can be iterated, or leave `over` out for one call",)


def pipeline_from_python(
    name: str,
    stages: Sequence[GivenStage],
    *,
    params: Mapping[str, Any],
    env: Mapping[str, str],
    workers: int | None,
    limits: Mapping[str, int],
    defaults: Mapping[str, Any],
    hooks: Mapping[str, Sequence[GivenStage]],
    folder: Path,
    description: str,
) -> PipelineSpec:
    """The checked pipeline. Errors: Problems, all of them together."""
    after = [stage for given in hooks.values() for stage in given]
    problems = [*_check(stages), *(problem for stage in after for problem in _check([stage]))]
    here = stages[0].mark if stages else Mark("(python)", 1, 1)
    top = {
        "version": 1,
        "name": name,
        "params": params,
        "env": env,
        "workers": workers,
        "limits": limits,
        "description": description or None,
    }
    entries: dict[Value, Entry] = {
        key: _entry(key, as_node(value, here), here) for key, value in top.items() if value not in (None, {})
    }
    entries["defaults"] = _entry("defaults", as_node(defaults, here), here)
    listed: dict[Value, Entry] = {
        s.name: _entry(s.name, _stage_node(s, {**defaults, **s.keys}), s.mark) for s in reversed(stages)
    }
    entries["stages"] = _entry("stages", MapNode(dict(reversed(listed.items())), here), here)
    for kind, given in hooks.items():
        entries[kind] = _entry(kind, ListNode(tuple(_stage_node(s, s.keys) for s in given), here), here)
    spec = build_node(MapNode(entries, here), "", folder=folder, problems=problems)
    return replace(
        spec,
        name=name,
        stages={StageName(s.name): _put_back(spec.stages[StageName(s.name)], s) for s in stages},
        hooks={of.name: _put_back(of, s) for of, s in zip(spec.hooks.values(), after, strict=True)},
    )


def _check(stages: Sequence[GivenStage]) -> list[Problem]:
    """What only Python can get wrong."""
    problems: list[Problem] = []
    seen: dict[str, Mark] = {}
    for stage in stages:
        if stage.name in seen:
            problems.append(StageTwice(mark=stage.mark, stage=stage.name, first=seen[stage.name]))
        seen.setdefault(stage.name, stage.mark)
        if not isinstance(stage.call, str) and not callable(stage.call) and stage.run is None:
            problems.append(NothingGiven(mark=stage.mark, stage=stage.name, got=repr(stage.call)))
        columns = stage.over.values() if _by_name(stage.over) else (stage.over,)
        problems += [
            NothingToGoOver(mark=stage.mark, stage=stage.name, got=type(column).__name__)
            for column in columns
            if column is not None and not isinstance(column, Iterable)
        ]
    return problems


def _stage_node(stage: GivenStage, keys: Mapping[str, Any]) -> MapNode:
    values: dict[str, Any] = {}
    if stage.call is not None:
        values["call"] = stage.call if isinstance(stage.call, str) else _FUNCTION
    if stage.run is not None:
        values["run"] = stage.run if isinstance(stage.run, str) else list(stage.run)
    if stage.over is not None:
        values["over"] = _over_placeholder(stage.over, keys.get("args"))
    values |= {key: _FUNCTION if key == "setup" and callable(value) else value for key, value in stage.keys.items()}
    return MapNode(
        {key: _entry(key, as_node(value, stage.mark), stage.mark) for key, value in values.items()}, stage.mark
    )


def _over_placeholder(over: Any, args: object) -> Any:
    """What stands for `over` in the nodes: itself where YAML could hold it, with placeholders for iterables."""
    if _as_in_yaml(over):
        return over
    if _by_name(over):
        return {name: column if _as_in_yaml(column) else _ITEMS for name, column in over.items()}
    if _columns(over, args):
        return [column if _as_in_yaml(column) else _ITEMS for column in over]
    return _ITEMS


def _as_in_yaml(over: Any) -> bool:
    """Whether it is a reference, or a mapping that names a source."""
    return isinstance(over, str) or (isinstance(over, Mapping) and len([k for k in over if k in SOURCES]) == 1)


def _by_name(over: Any) -> bool:
    """Whether it is columns by the names of their parameters."""
    return isinstance(over, Mapping) and not _as_in_yaml(over)


def _columns(over: Any, args: object) -> bool:
    return isinstance(over, list | tuple) and (args == "zip" or (len(over) > 0 and all(map(_as_in_yaml, over))))


def _put_back(spec: StageSpec, stage: GivenStage) -> StageSpec:
    function = Given(stage.call) if callable(stage.call) else spec.function
    setup = stage.keys.get("setup")
    return replace(
        spec,
        function=function,
        over=_source(spec.over, stage),
        setup=Given(setup) if callable(setup) else spec.setup,
    )


def _source(built: Source | None, stage: GivenStage) -> Source | None:
    given = stage.over
    if given is None or _as_in_yaml(given):
        return _once(built, stage.name)
    if isinstance(built, Zip) and isinstance(given, Mapping):
        given = list(given.values())
    if isinstance(built, Zip) and isinstance(given, Sequence) and len(given) == len(built.columns):
        pairs = zip(built.columns, given, strict=True)
        columns = [b if _as_in_yaml(g) else _items(g, stage.name) for b, g in pairs]
        return replace(built, columns=tuple(columns))
    return _items(given, stage.name)


def _once(built: Source | None, stage: str) -> Source | None:
    """The same, with an iterator in its batches that can be gone through only once."""
    match built:
        case Batches(Items(Iterator() as given)):
            return replace(built, source=_items(given, stage))
        case Batches(inner) if (filled := _once(inner, stage)) is not None:
            return replace(built, source=filled)
    return built


def _items(given: Iterable[Any], stage: str) -> Items | Range:
    if isinstance(given, range):  # as in YAML: the number of a call says its item, which needs no digest then (4 µs)
        return Range(given.start, given.stop, given.step)
    return Items(OneShot(given, stage) if isinstance(given, Iterator) else given)


@dataclass(eq=False)
class OneShot:
    """An iterator, which gives its items only once. Errors: UsedUp the second time, not silence."""

    items: Iterator[Any]
    stage: str
    used: bool = False

    def __iter__(self) -> Iterator[Any]:
        if self.used:
            raise UsedUp(self.stage)
        self.used = True
        return self.items


class UsedUp(PipelineError):
    """A second run of a pipeline whose items came from an iterator."""

    def __init__(self, stage: str) -> None:
        self.stage = stage
        super().__init__(
            f'the iterator that stage "{stage}" goes over was used up by an earlier run; '
            "give a list, or a generate source, to run it again"
        )


def _entry(key: str, node: Node, mark: Mark) -> Entry:
    return Entry(Scalar(key, mark, plain=True), node)
