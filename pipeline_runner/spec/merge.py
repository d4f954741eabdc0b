"""A profile laid over the file, and `defaults` laid under every stage; every node keeps its own mark."""

from __future__ import annotations

from pipeline_runner.errors import Problem
from pipeline_runner.spec.problems import UnknownProfile
from pipeline_runner.syntax.reader import Entry, MapNode, Node, Scalar


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
    merged = dict(root.entries)
    for key, entry in chosen.entries.items():
        old = merged.get(key)
        depth = {"params": 1, "env": 1, "limits": 1, "defaults": 1, "stages": 2}.get(str(key), 0)
        merged[key] = Entry(old.key if old else entry.key, _over(old.value if old else None, entry.value, depth))
    return MapNode(merged, root.mark)


def with_defaults(root: MapNode) -> MapNode:
    """Every stage with the keys of `defaults` that it does not have itself; `env` is joined name by name."""
    defaults, stages = root.get("defaults"), root.get("stages")
    if not isinstance(defaults, MapNode) or not isinstance(stages, MapNode):
        return root
    filled = {key: Entry(entry.key, _under(defaults, entry.value)) for key, entry in stages.entries.items()}
    entries = {**root.entries, "stages": Entry(root.entries["stages"].key, MapNode(filled, stages.mark))}
    return MapNode(entries, root.mark)


def _under(defaults: MapNode, stage: Node) -> Node:
    if not isinstance(stage, MapNode):
        return stage
    entries = {**defaults.entries, **stage.entries}
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
