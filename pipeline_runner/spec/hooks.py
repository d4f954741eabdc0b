"""`on_success` and `on_failure`: stages that run after the run's stages, and see how it ended."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline_runner.axes import OnError
from pipeline_runner.classes import replace
from pipeline_runner.errors import Problem
from pipeline_runner.marks import Mark
from pipeline_runner.spec.pipeline import HOOKS, Command, StageName, StageSpec
from pipeline_runner.spec.problems import HookNeeds, HookTakes, describe
from pipeline_runner.syntax.reader import Entry, ListNode, MapNode, Node, Scalar, plain
from pipeline_runner.typed import Any, NamedTuple

SEEN = ("id", "dir", "status", "failures")  # of `run`, in a hook
WHY = "a hook sees how the run ended: ${run.status}, ${run.failures}, ${run.id} and ${run.dir}"


class Hook(NamedTuple):
    """One hook as it is written."""

    kind: str  # one of HOOKS
    name: StageName
    path: tuple[str | int, ...]  # from the root of the file
    entry: Entry
    node: MapNode


def hooks(root: MapNode, problems: list[Problem]) -> Iterator[Hook]:
    """Every hook of a file, in its order. A second one of a kind has its number in its name."""
    for kind in HOOKS:
        entry = root.entries.get(kind)
        if entry is None or _empty(entry.value):
            continue
        single = not isinstance(entry.value, ListNode)
        nodes = (entry.value,) if single else entry.value.items  # type: ignore[union-attr]
        for number, node in enumerate(nodes, 1):
            if not isinstance(node, MapNode):
                problems.append(HookTakes(mark=node.mark, hook=kind, got=describe(plain(node))))
                continue
            path = (kind,) if single else (kind, number - 1)
            name = StageName(kind if number == 1 else f"{kind}.{number}")
            yield Hook(kind, name, path, Entry(entry.key, node), node)


def without_sources(roots: tuple[str, ...]) -> tuple[str, ...]:
    """What may be asked for in a hook, where a stage may ask for this: the run in place of other stages."""
    return tuple(dict.fromkeys("run" if root == "stages" else root for root in roots))


def as_hook(stage: StageSpec, kind: str, *, speaks: bool) -> StageSpec:
    """The stage that was built of a hook. `speaks`: what its command writes is to be seen: nobody reads its value."""
    function = stage.function
    if isinstance(function, Command) and speaks:
        function = replace(function, stdout="none")
    # One that fails must not keep the next from running.
    return replace(stage, hook=kind, function=function, on_error=OnError.FINISH)


def unsuited(hook: Hook, keys: dict[Any, Any]) -> Problem | None:
    """What a stage may say and a hook may not."""
    if not keys.get("needs"):
        return None
    mark: Mark = hook.node.entries["needs"].key.mark
    return HookNeeds(mark=mark, hook=hook.kind)


def _empty(node: Node) -> bool:
    return isinstance(node, Scalar) and node.value is None
