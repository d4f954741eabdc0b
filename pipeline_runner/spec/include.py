"""`include`: what other files say, laid under what this file says; every node keeps the place in its own file.

A file's own word goes before that of a file that it includes, stage by stage and key by key. Two included files that
say different things about the same name are told, since which of them is meant would be a guess.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline_runner.classes import dataclass, field
from pipeline_runner.errors import Problem
from pipeline_runner.spec.files import Place, find, read_mapping
from pipeline_runner.spec.merge import laid_over
from pipeline_runner.spec.problems import (
    BadVersion,
    ReferenceMisplaced,
    SaidTwice,
    UnknownKey,
    WrongType,
    describe,
    short,
)
from pipeline_runner.syntax.reader import Entry, ListNode, MapNode, Node, Scalar, plain

OWN = ("version", "name", "description", "include")  # said by each file of itself
KEYS = ("file", "allow_outside")


def with_included(root: MapNode, file: Place, project: Path, problems: list[Problem], read: set[Path]) -> MapNode:
    """The file with all that it includes, and that those include; without the `include` itself. `read` is told all of
    them."""
    including = _Including(project, problems)
    whole = including.whole(root, file, ())
    read.update([file.path, *including.made])
    return whole


@dataclass(frozen=True)
class _Asked:
    """One file of an `include`."""

    text: Scalar
    allow_outside: bool = False


@dataclass
class _Including:
    project: Path
    problems: list[Problem]
    made: dict[Path, MapNode] = field(default_factory=dict)  # files that were read: many may include one

    def whole(self, root: MapNode, file: Place, outer: tuple[Place, ...]) -> MapNode:
        below = MapNode({}, root.mark)
        for asked in self._asked_for(root.entries.get("include")):
            included = self._included(asked, file, (*outer, file))
            below = self._beside(below, included, root)
        own = {key: entry for key, entry in root.entries.items() if key != "include"}
        return laid_over(below, MapNode(own, root.mark))

    def _included(self, asked: _Asked, file: Place, outer: tuple[Place, ...]) -> MapNode:
        nothing = MapNode({}, asked.text.mark)
        text, mark = str(asked.text.value), asked.text.mark
        cure = f"write  include: [{{file: {short(text)}, allow_outside: true}}]"
        found = find(text, mark, file, self.project, outer, allow_outside=asked.allow_outside, cure=cure)
        if isinstance(found, Problem):
            self.problems.append(found)
            return nothing
        if found.path not in self.made:
            root = read_mapping(found, "an included file", asked.text.mark, self.problems)
            self.made[found.path] = nothing if root is None else self._of_others(root, found, outer)
        return self.made[found.path]

    def _of_others(self, root: MapNode, file: Place, outer: tuple[Place, ...]) -> MapNode:
        """What an included file gives: not what it says of itself."""
        version = root.get("version")
        if version is not None and plain(version) != 1:
            self.problems.append(BadVersion(mark=version.mark, got=describe(plain(version))))
        whole = self.whole(root, file, outer)
        return MapNode({key: entry for key, entry in whole.entries.items() if key not in OWN}, whole.mark)

    def _asked_for(self, entry: Entry | None) -> Iterator[_Asked]:
        """The files of an `include`, what is no file's name told."""
        if entry is None or plain(entry.value) is None:
            return
        for node in entry.value.items if isinstance(entry.value, ListNode) else (entry.value,):
            asked = self._entry(node)
            if asked is not None:
                yield asked

    def _entry(self, node: Node) -> _Asked | None:
        if isinstance(node, MapNode):
            return self._described(node)
        if isinstance(node, Scalar) and isinstance(node.value, str) and node.value:
            if "${" not in node.value:
                return _Asked(node)
            why = "files are read before any value is known"
            self.problems.append(ReferenceMisplaced(mark=node.mark, reference=node.value, key="include", why=why))
            return None
        wants = "a file, or a list of files"
        self.problems.append(WrongType(mark=node.mark, key="include", wants=wants, got=describe(plain(node))))
        return None

    def _described(self, node: MapNode) -> _Asked | None:
        """`{file: ../common.yaml, allow_outside: true}`."""
        for key, entry in node.entries.items():
            if key not in KEYS:
                self.problems.append(UnknownKey(mark=entry.key.mark, key=str(key), where='in "include"', known=KEYS))
        outside = node.get("allow_outside")
        if outside is not None and not isinstance(plain(outside), bool):
            self.problems.append(
                WrongType(mark=outside.mark, key="allow_outside", wants="true or false", got=describe(plain(outside)))
            )
        file = node.get("file")
        asked = self._entry(file) if isinstance(file, Scalar) else None
        if file is None or isinstance(file, MapNode | ListNode):
            where = node if file is None else file
            got = "nothing" if file is None else describe(plain(file))
            self.problems.append(WrongType(mark=where.mark, key="file", wants="a file's name", got=got))
        return None if asked is None else _Asked(asked.text, outside is not None and plain(outside) is True)

    # Two included files side by side.

    def _beside(self, first: MapNode, second: MapNode, own: MapNode) -> MapNode:
        """What two included files say together. `own` is what the file that includes them says itself."""
        entries = dict(first.entries)
        for key, entry in second.entries.items():
            old = entries.get(key)
            entries[key] = entry if old is None else self._both(old, entry, str(key), own.get(key), _DEPTHS.get(key, 0))
        return MapNode(entries, first.mark)

    def _both(self, first: Entry, second: Entry, key: str, own: Node | None, depth: int) -> Entry:
        if isinstance(first.value, ListNode) and isinstance(second.value, ListNode) and key == "secrets":
            return Entry(first.key, ListNode((*first.value.items, *second.value.items), first.value.mark))
        if depth and isinstance(first.value, MapNode) and isinstance(second.value, MapNode):
            return Entry(first.key, self._by_name(first.value, second.value, key, own, depth - 1))
        self._compare(first, second, f'"{key}"', own)
        return first

    def _by_name(self, first: MapNode, second: MapNode, section: str, own: Node | None, depth: int) -> MapNode:
        entries = dict(first.entries)
        for name, entry in second.entries.items():
            old = entries.setdefault(name, entry)
            said = own.get(name) if isinstance(own, MapNode) else None
            if depth and isinstance(old.value, MapNode) and isinstance(entry.value, MapNode):
                merged = self._by_name(old.value, entry.value, str(name), said, depth - 1)
                entries[name] = Entry(old.key, merged)
            else:
                self._compare(old, entry, _called(section, str(name)), None if section == "stages" else said)
        return MapNode(entries, first.mark)

    def _compare(self, first: Entry, second: Entry, what: str, own: Node | None) -> None:
        same = first.key.mark == second.key.mark  # one file, included by both
        if same or own is not None or what.startswith('"x-'):
            return
        if what.startswith("stage ") or plain(first.value) != plain(second.value):
            self.problems.append(SaidTwice(mark=second.key.mark, what=what, first=first.key.mark))


# How deep two included files are compared name by name: of a profile's `params`, each parameter.
_DEPTHS: Mapping[object, int] = {"params": 1, "env": 1, "limits": 1, "defaults": 1, "stages": 1, "profiles": 3}
_ONE_OF = {"params": "parameter", "stages": "stage", "env": "variable", "limits": "limit", "defaults": "default"}


def _called(section: str, name: str) -> str:
    return f'{_ONE_OF.get(section, "key")} "{name}"'
