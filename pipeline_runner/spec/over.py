"""What `over` means: which source gives the items of a stage, or which sources its columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline_runner.axes import Style
from pipeline_runner.errors import Problem, did_you_mean
from pipeline_runner.marks import Mark
from pipeline_runner.spec.functions import parse_function
from pipeline_runner.spec.pipeline import (
    Computed,
    Csv,
    FromStage,
    Generate,
    Glob,
    Items,
    Jsonl,
    Lines,
    Range,
    Source,
    Zip,
)
from pipeline_runner.spec.problems import BadFunction, BadRow, BadSource, NotYet, UnequalColumns, describe, short
from pipeline_runner.syntax.expressions import Expression, ExpressionError, Part, Reference, Text, parse, references
from pipeline_runner.syntax.reader import ListNode, MapNode, Node, Scalar

SOURCES = ("range", "glob", "lines", "csv", "jsonl", "generate")
LATER = ("matrix", "batches")
_COMPANIONS = {"generate": ("with", "take"), "matrix": ("include", "exclude"), "batches": ("size",)}


@dataclass
class OverBuilder:
    """Builds the source of one stage and gathers what is wrong with it."""

    style: Style | None
    shortest: bool
    stages: tuple[str, ...]
    problems: list[Problem]

    def build(self, node: Node, value: Any) -> Source | None:
        """The source that was written, or None after a problem."""
        source = self._whole(node, value)
        if isinstance(source, Zip) and self.style not in (None, Style.ZIP):
            why = f"several sources side by side are read by args: zip, not args: {self.style}"
            return self._wrong(node.mark, why, "write args: zip, or leave args out")
        if isinstance(source, Zip) and not self.shortest:
            self._compare(source, node)
        if self.style is Style.STAR and isinstance(source, Items):
            self._check_rows(source, node)
        return source

    def _whole(self, node: Node, value: Any) -> Source | None:
        if isinstance(value, list) and isinstance(node, ListNode) and self._are_columns(node, value):
            return self._columns(node, [(f"column {i + 1}", n, value[i]) for i, n in enumerate(node.items)])
        if isinstance(value, list) and self.style is Style.ZIP:  # columns out of a parameter
            return self._columns(node, [(f"column {i + 1}", node, part) for i, part in enumerate(value)])
        if isinstance(value, Mapping) and isinstance(node, MapNode) and value and not _names_source(value):
            if problem := self._misspelled(node):
                self.problems.append(problem)
                return None
            named = [(str(key), entry.value, value[key]) for key, entry in node.entries.items()]
            return self._columns(node, named, tuple(name for name, _, _ in named))
        source = self._source(node, value, "over")
        return Zip((source,)) if source is not None and self.style is Style.ZIP else source

    def _are_columns(self, node: ListNode, value: list[Any]) -> bool:
        if self.style is Style.ZIP:
            return True
        if self.style is not None or not value:
            return False
        sources = [_is_source(item, part) for item, part in zip(node.items, value, strict=True)]
        # Beside a source, a list is a column too; a list of nothing but lists is a list of items.
        return any(sources) and all(
            is_one or isinstance(part, list) for is_one, part in zip(sources, value, strict=True)
        )

    def _columns(self, node: Node, parts: list[tuple[str, Node, Any]], names: tuple[str, ...] = ()) -> Source | None:
        if not parts:
            return self._wrong(node.mark, "args: zip needs at least one column")
        for name, part, value in parts:
            if not isinstance(value, list | Mapping | Part):
                why = f"{name} is {_told(value)}, not a source of items"
                return self._wrong(part.mark, why, "args: zip reads several sources side by side; args: map reads one")
        sources = [self._source(part, value, name) for name, part, value in parts]
        whole = tuple(source for source in sources if source is not None)
        for name in names:
            if not name.isidentifier():
                self._wrong(node.mark, f'"{name}" cannot be the name of an argument')
        return Zip(whole, names) if len(whole) == len(sources) else None

    def _source(self, node: Node, value: Any, what: str) -> Source | None:
        match value:
            case list():
                return self._items(node, value)
            case Reference(root="stages"):
                return FromStage(value)
            case Expression():
                return Computed(value)
            case Mapping() if len(known := [key for key in value if key in (*SOURCES, *LATER)]) == 1:
                return self._named(str(known[0]), node, value)
            case Mapping() if isinstance(node, Scalar) or not value:
                return self._wrong(node.mark, f'"{what}" is {describe(value)} that names no source', _CURE)
            case Mapping():
                found = self._misspelled(node) if isinstance(node, MapNode) else None
                self.problems.append(found or BadSource(mark=node.mark, why=f"{what} names no source", cure=_CURE))
                return None
            case str() if value in self.stages:
                return self._wrong(node.mark, f'the text "{value}" gives no items', f"write ${{stages.{value}}}")
            case str() if any(c in value for c in "*?["):
                return self._wrong(node.mark, f'the text "{value}" gives no items', f'write {{glob: "{value}"}}')
            case int() if not isinstance(value, bool):
                return self._wrong(node.mark, f"the number {value} gives no items", f"write {{range: {value}}}")
        return self._wrong(node.mark, f"{_told(value)} gives no items", _CURE)

    def _items(self, node: Node, value: list[Any]) -> Source | None:
        for reference in references(value):
            where = self._place(node, reference)
            why = f"{reference} cannot be one item of a list: its value is only known during the run"
            cure = f"write  over: {reference}  for its items, or args: zip for several columns"
            return self._wrong(where, why, cure)
        return Items(value)

    def _place(self, node: Node, reference: Reference) -> Mark:
        if isinstance(node, ListNode):
            for item in node.items:
                if isinstance(item, Scalar) and isinstance(item.value, str) and "${" in item.value:
                    return item.mark
        return node.mark

    def _misspelled(self, node: MapNode) -> Problem | None:
        """A mapping whose one key is nearly a source: `golb`."""
        keys = [key for key in node.entries if isinstance(key, str)]
        for key in keys:
            entry = node.entries[key]
            is_column = not isinstance(entry.value, Scalar) or _is_reference(entry.value)
            if is_column and len(keys) > 1:
                continue
            if not is_column:
                guess = did_you_mean(key, SOURCES)
                return BadSource(mark=entry.key.mark, why=f'unknown source "{key}"{guess}', cure=_CURE)
        return None

    def _named(self, kind: str, node: Node, value: Mapping[Any, Any]) -> Source | None:
        for key in value:
            if key not in (kind, *_COMPANIONS.get(kind, ())):
                entry = node.entries.get(key) if isinstance(node, MapNode) else None
                guess = did_you_mean(str(key), _COMPANIONS.get(kind, ()))
                return self._wrong(
                    entry.key.mark if entry else node.mark, f'unknown key "{key}" beside "{kind}"{guess}'
                )
        inner = (node.get(kind) if isinstance(node, MapNode) else None) or node
        if kind in LATER:
            self.problems.append(NotYet(mark=node.mark, what=f'the source "{kind}"'))
            return None
        for reference in references(dict(value)):
            return self._wrong(
                inner.mark, f'{reference} cannot stand in "{kind}": its value is only known during the run'
            )
        if kind == "range":
            return self._range(inner, value[kind])
        if kind == "generate":
            return self._generate(node, inner, value)
        return self._file(kind, inner, value[kind])

    def _file(self, kind: str, node: Node, path: Any) -> Source | None:
        if not isinstance(path, str) or not path:
            return self._wrong(node.mark, f'"{kind}" takes a path, not {describe(path)}')
        if "://" in path:
            self.problems.append(NotYet(mark=node.mark, what="reading a URL", instead="name a local file"))
            return None
        return _FILES[kind](path)

    def _range(self, node: Node, value: Any) -> Source | None:
        numbers = value if isinstance(value, list) else [value]
        if not all(isinstance(n, int) and not isinstance(n, bool) for n in numbers) or len(numbers) not in (1, 2, 3):
            return self._wrong(node.mark, f'"range" takes one to three whole numbers, not {_written(value)}', _RANGE)
        if isinstance(value, list) and len(numbers) == 1:
            numbers = [0, numbers[0]]
        if not isinstance(value, list):
            numbers = [0, value]
        start, stop, step = (*numbers, 1)[:3]
        if step == 0:
            return self._wrong(node.mark, '"range" has step 0: it would never end', _RANGE)
        if any(abs(n) > 2**60 for n in (start, stop, step)):
            return self._wrong(node.mark, '"range" has a number too large to count to', _RANGE)
        return Range(start, stop, step)

    def _generate(self, node: Node, inner: Node, value: Mapping[Any, Any]) -> Source | None:
        text, keywords, take = value["generate"], value.get("with"), value.get("take")
        if not isinstance(text, str):
            return self._wrong(inner.mark, f'"generate" takes module:function, not {describe(text)}')
        function = parse_function(text, inner.mark)
        if isinstance(function, BadFunction):
            self.problems.append(function)
            return None
        at = node.get if isinstance(node, MapNode) else lambda key: None
        named = isinstance(keywords, dict) and all(isinstance(k, str) for k in keywords)
        if keywords is not None and not named and not isinstance(keywords, list):
            mark = (at("with") or inner).mark
            return self._wrong(
                mark, f'"with" of a generator is a mapping or list of arguments, not {describe(keywords)}'
            )
        if take is not None and (not isinstance(take, int) or isinstance(take, bool) or take < 0):
            return self._wrong((at("take") or inner).mark, f'"take" is a whole number, 0 or more, not {describe(take)}')
        return Generate(function, keywords or {}, take)

    def _compare(self, source: Zip, node: Node) -> None:
        """Literal columns can be measured before anything runs."""
        lengths = [(i, n) for i, column in enumerate(source.columns) if (n := _length(column)) is not None]
        for i, length in lengths[1:]:
            first, first_length = lengths[0]
            if length != first_length:
                where = _column_node(node, i)
                names = source.names or tuple(f"column {k + 1}" for k in range(len(source.columns)))
                self.problems.append(
                    UnequalColumns(
                        mark=where.mark,
                        first=names[first],
                        first_length=first_length,
                        other=names[i],
                        other_length=length,
                    )
                )
                return

    def _check_rows(self, source: Items, node: Node) -> None:
        for i, row in enumerate(source.values):
            if not isinstance(row, list | tuple | dict):
                where = node.items[i] if isinstance(node, ListNode) else node
                self.problems.append(BadRow(mark=where.mark, got=describe(row)))
                return

    def _wrong(self, mark: Mark, why: str, cure: str = "") -> Source | None:
        """Tell it; there is no source then."""
        self.problems.append(BadSource(mark=mark, why=why, cure=cure))
        return None


_CURE = f"over takes a list, ${{stages.x}}, ${{params.x}}, or one of: {', '.join(f'{{{s}: …}}' for s in SOURCES)}"
_RANGE = "write {range: 10}, {range: [start, stop]} or {range: [start, stop, step]}"
_FILES: Mapping[str, Callable[[str], Source]] = {"glob": Glob, "lines": Lines, "csv": Csv, "jsonl": Jsonl}


def _names_source(value: Mapping[Any, Any]) -> bool:
    """Exactly one key that is a source, alone or with what goes with it."""
    kinds = [key for key in value if key in (*SOURCES, *LATER)]
    if len(kinds) != 1:
        return False
    others = [v for key, v in value.items() if key != kinds[0] and key not in _COMPANIONS.get(kinds[0], ())]
    return not others or not all(isinstance(v, list | Mapping | Part) for v in value.values())


def _is_source(node: Node, value: Any) -> bool:
    """Whether an element of a list is a column: a reference to items, or a mapping that names a source."""
    if isinstance(value, Mapping):
        kinds = [key for key in value if key in (*SOURCES, *LATER)]
        return len(kinds) == 1 and set(value) <= {kinds[0], *_COMPANIONS.get(kinds[0], ())}
    return _is_reference(node) and isinstance(value, list | Part)


def _is_reference(node: Node) -> bool:
    if not isinstance(node, Scalar) or not isinstance(node.value, str):
        return False
    try:
        return isinstance(parse(node.value), Part)
    except ExpressionError:
        return False


def _length(source: Source) -> int | None:
    if isinstance(source, Range):
        return len(range(source.start, source.stop, source.step))
    return len(source.values) if isinstance(source, Items) and isinstance(source.values, list) else None


def _column_node(node: Node, column: int) -> Node:
    match node:
        case ListNode():
            return node.items[column]
        case MapNode():
            return list(node.entries.values())[column].value
    return node


def _told(value: Any) -> str:
    match value:
        case Reference() | Expression():
            return str(value)
        case Text():
            return "text around ${…}"
    return describe(value)


def _written(value: Any) -> str:
    return short(str(value)) if isinstance(value, list) else describe(value)
