"""A profile laid over the file, the file over what it includes, and `defaults` under every stage; every node keeps its
own mark."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline_runner.errors import Problem
from pipeline_runner.marks import Mark
from pipeline_runner.spec.problems import UnknownProfile
from pipeline_runner.syntax.reader import Entry, ListNode, MapNode, Node, Scalar
from pipeline_runner.typed import Any


def with_profile(root: MapNode, name: str | None, problems: list[Problem]) -> MapNode:
    """The file as the profile changes it; `params`, `env`, `limits`, `defaults` and each stage key by key."""
    if name is None:
        return root
    profiles = root.get("profiles")
    known = tuple(str(key) for key in profiles.entries) if isinstance(profiles, MapNode) else ()
    chosen = profiles.get(name) if isinstance(profiles, MapNode) else None
    if not isinstance(chosen, MapNode):
        if name not in known:
            problems.append(UnknownProfile(mark=profiles.mark if profiles else None, name=name, known=known))
        return root
    return laid_over(root, chosen)


def laid_over(below: MapNode, above: MapNode) -> MapNode:
    """One file's keys over another's: `params`, `env`, `limits`, `defaults` name by name, each stage key by key."""
    merged = dict(below.entries)
    for key, entry in above.entries.items():
        old = merged.get(key)
        if old is None:
            merged[key] = entry
        elif key == "secrets" and isinstance(old.value, ListNode) and isinstance(entry.value, ListNode):
            merged[key] = Entry(entry.key, ListNode((*old.value.items, *entry.value.items), entry.value.mark))
        else:
            value = _stages_over(old.value, entry.value) if key == "stages" else None
            merged[key] = Entry(entry.key, value or _over(old.value, entry.value, _DEPTHS.get(key, 0)))
    return MapNode(merged, below.mark)


_DEPTHS: Mapping[object, int] = {"params": 1, "env": 1, "limits": 1, "defaults": 1, "stages": 1, "profiles": 3}
DEEDS = ("call", "run", "pipeline")  # what a stage does: exactly one of them


def _stages_over(below: Node, above: Node) -> Node | None:
    """Stages key by key. One that says what it does no longer does what the one below it did."""
    if not isinstance(below, MapNode) or not isinstance(above, MapNode):
        return None
    merged = dict(below.entries)
    for name, entry in above.entries.items():
        old = merged.get(name)
        if old is None or not isinstance(old.value, MapNode) or not isinstance(entry.value, MapNode):
            merged[name] = Entry(entry.key, _over(old.value if old else None, entry.value, 1))
            continue
        own = any(deed in entry.value.entries for deed in DEEDS)
        kept = {key: value for key, value in old.value.entries.items() if not (own and key in DEEDS)}
        merged[name] = Entry(entry.key, MapNode({**kept, **entry.value.entries}, entry.value.mark))
    return MapNode(merged, above.mark)


def with_defaults(root: MapNode) -> MapNode:
    """Every stage with the keys of `defaults` that it does not have itself; `env` is joined name by name."""
    defaults, stages = root.get("defaults"), root.get("stages")
    if not isinstance(defaults, MapNode) or not isinstance(stages, MapNode):
        return root
    filled = {key: Entry(entry.key, _under(defaults, entry.value)) for key, entry in stages.entries.items()}
    entries = {**root.entries, "stages": Entry(root.entries["stages"].key, MapNode(filled, stages.mark))}
    return MapNode(entries, root.mark)


PASSED_ON = (  # from a stage that is a file to that file's stages, beneath what they say themselves
    "retry", "timeout", "on_error", "workers", "memory", "threads", "priority", "limits", "cache", "backend",
    "start_method", "max_calls_per_worker", "env",
)  # fmt: skip


def with_passed(root: MapNode, keys: Mapping[str, Node]) -> MapNode:
    """A file that is a stage of another one, with the keys of that stage beneath its own `defaults` and `env`."""
    env = keys.get("env")
    defaults: Node = MapNode({key: _entry(key, node) for key, node in keys.items() if key != "env"}, root.mark)
    below = {"defaults": defaults} | ({} if env is None else {"env": env})
    return laid_over(MapNode({key: _entry(key, node) for key, node in below.items()}, root.mark), root)


def as_node(value: Any, mark: Mark) -> Node:
    """Nodes for what YAML could have held; anything else stays itself, in a scalar."""
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return MapNode({key: _entry(key, as_node(inner, mark)) for key, inner in value.items()}, mark)
    if isinstance(value, list):
        return ListNode(tuple(as_node(inner, mark) for inner in value), mark)
    return Scalar(value, mark, plain=False)


def _entry(key: str, node: Node) -> Entry:
    return Entry(Scalar(key, node.mark, plain=True), node)


def _under(defaults: MapNode, stage: Node) -> Node:
    if not isinstance(stage, MapNode):
        return stage
    beneath = defaults.entries
    if stage.get("pipeline") is not None:  # another file says itself what its stages do
        beneath = {key: entry for key, entry in beneath.items() if key in PASSED_ON}
    entries = {**beneath, **stage.entries}
    env = defaults.get("env")
    if isinstance(env, MapNode) and isinstance(own := stage.get("env"), MapNode):
        entries["env"] = Entry(stage.entries["env"].key, MapNode({**env.entries, **own.entries}, own.mark))
    return MapNode(entries, stage.mark)


def _over(old: Node | None, new: Node, depth: int) -> Node:
    if depth == 0 or not isinstance(old, MapNode) or not isinstance(new, MapNode):
        return old if old is not None and isinstance(new, Scalar) and new.value is None and depth else new
    entries = dict(old.entries)
    for key, entry in new.entries.items():
        before = entries.get(key)
        entries[key] = Entry(entry.key, _over(before.value if before else None, entry.value, depth - 1))
    return MapNode(entries, old.mark)
