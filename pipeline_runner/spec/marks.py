"""Where each key of a stage stands: found when somebody asks, since of thousands of stages nobody does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline_runner.marks import Mark
from pipeline_runner.spec.templates import Spot
from pipeline_runner.syntax.reader import Entry, ListNode, MapNode, Scalar, plain


class StageMarks(Mapping[str, Mark]):
    """By its key; "" is the stage's name, "needs.x" an item of `needs`, and "stages.x" a reference as it is written."""

    __slots__ = ("_entry", "_found", "_node", "_references")

    def __init__(self, entry: Entry, node: MapNode, references: Mapping[str, Spot]) -> None:
        self._entry = entry
        self._node = node
        self._references = references
        self._found: dict[str, Mark] | None = None

    def __getitem__(self, key: str) -> Mark:
        return self._all[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    @property
    def _all(self) -> dict[str, Mark]:
        if self._found is None:
            needs = self._node.get("needs")
            items = needs.items if isinstance(needs, ListNode) else (needs,) if isinstance(needs, Scalar) else ()
            self._found = {
                "": self._entry.key.mark,
                **{str(key): value_mark(self._entry, self._node, key) for key in self._node.entries},
                **{f"needs.{plain(item)}": item.mark for item in items},
                **{name: spot.mark for name, spot in self._references.items()},
            }
        return self._found


def value_mark(stage: Entry, node: MapNode, key: object) -> Mark:
    """Where the value of a key stands; the key where the value is more than one, the stage's name where it has none."""
    entry = node.entries.get(key)  # type: ignore[call-overload]
    if entry is None:
        return stage.key.mark
    return entry.value.mark if isinstance(entry.value, Scalar) else entry.key.mark
