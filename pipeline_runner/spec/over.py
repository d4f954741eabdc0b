"""What `over` means: which source gives the items of a stage, or which sources its columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pipeline_runner.axes import Style
from pipeline_runner.classes import dataclass
from pipeline_runner.errors import Problem, did_you_mean, listed
from pipeline_runner.marks import Mark
from pipeline_runner.spec.functions import parse_function
from pipeline_runner.spec.opening import is_url, lacking
from pipeline_runner.spec.pipeline import (
    Batches,
    Computed,
    Csv,
    FromStage,
    Generate,
    Glob,
    Items,
    Jsonl,
    Lines,
    Matrix,
    Range,
    Source,
    Zip,
)
from pipeline_runner.spec.problems import BadFunction, BadRow, BadSource, NoName, UnequalColumns, describe, short
from pipeline_runner.spec.sources import endless
from pipeline_runner.syntax.expressions import Expression, ExpressionError, Part, Reference, Text, parse, references
from pipeline_runner.syntax.reader import ListNode, MapNode, Node, Scalar
from pipeline_runner.typed import Any

SOURCES = ("range", "glob", "lines", "csv", "jsonl", "matrix", "batches", "generate")
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
            if not self._are_names(node, 'in "over"'):
                return None
            named = [(str(key), entry.value, value[key]) for key, entry in node.entries.items()]
            return self._columns(node, named, tuple(name for name, _, _ in named))
        source = self._source(node, value, '"over"')
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

    def _are_names(self, node: MapNode, where: str) -> bool:
        """Whether all keys can be names of arguments; where they are no text, that is told here."""
        wrong = [(key, entry.key.mark) for key, entry in node.entries.items() if not isinstance(key, str)]
        self.problems += [NoName(mark=mark, where=where, key=key) for key, mark in wrong]
        return not wrong

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
                mark = node.entries[name].key.mark if isinstance(node, MapNode) else node.mark
                self._wrong(mark, f'"{name}" cannot be the name of an argument')
        return Zip(whole, names) if len(whole) == len(sources) else None

    def _source(self, node: Node, value: Any, what: str) -> Source | None:
        match value:
            case list():
                return self._items(node, value)
            case Reference(root="stages"):
                return FromStage(value)
            case Expression():
                return Computed(value)
            case Mapping() if len(known := [key for key in value if key in SOURCES]) == 1:
                return self._named(str(known[0]), node, value)
            case Mapping() if isinstance(node, Scalar) or not value:
                return self._wrong(node.mark, f"{what} is {describe(value)} that names no source", _CURE)
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
            case range():
                return Range(value.start, value.stop, value.step)
            case Iterable() if _of_python(value):
                return Items(value)
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
        """A mapping whose one key is nearly a source: `golb`; or one that names several."""
        keys = [key for key in node.entries if isinstance(key, str)]
        several = [key for key in keys if key in SOURCES]
        for key in keys:
            entry = node.entries[key]
            is_column = not isinstance(entry.value, Scalar) or _is_reference(entry.value)
            if is_column and len(keys) > 1:
                continue
            if not is_column and key in several:
                mark = node.entries[several[1]].key.mark if len(several) > 1 else entry.key.mark
                named = listed([f'"{name}"' for name in several])
                return BadSource(mark=mark, why=f"this takes one source, and here are {named}", cure=_SEVERAL)
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
        inner = _within(node, kind)
        if kind == "matrix":
            return self._matrix(node, inner, value)
        if kind == "batches":
            return self._batches(node, inner, value)
        for reference in references(dict(value)):
            return self._wrong(
                inner.mark, f'{_called(reference)} cannot stand in "{kind}": its value is only known during the run'
            )
        if kind == "range":
            return self._range(inner, value[kind])
        if kind == "generate":
            return self._generate(node, inner, value)
        return self._file(kind, inner, value[kind])

    def _file(self, kind: str, node: Node, path: Any) -> Source | None:
        if not isinstance(path, str) or not path:
            return self._wrong(node.mark, f'"{kind}" takes a path, not {describe(path)}')
        if is_url(path) and (lacks := lacking(path)):
            return self._wrong(node.mark, *lacks)
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
        written = at("with")
        if isinstance(written, MapNode) and not self._are_names(written, 'in "with" of a generator'):
            return None
        named = isinstance(keywords, dict) and all(isinstance(k, str) for k in keywords)
        if keywords is not None and not named and not isinstance(keywords, list):
            mark = (at("with") or inner).mark
            return self._wrong(
                mark, f'"with" of a generator is a mapping or list of arguments, not {describe(keywords)}'
            )
        if take is not None and (not isinstance(take, int) or isinstance(take, bool) or take < 0):
            return self._wrong((at("take") or inner).mark, f'"take" is a whole number, 0 or more, not {describe(take)}')
        return Generate(function, keywords or {}, take)

    def _matrix(self, node: Node, inner: Node, value: Mapping[Any, Any]) -> Source | None:
        axes = value["matrix"]
        if not isinstance(axes, Mapping):
            return self._wrong(inner.mark, f'"matrix" takes a mapping of axes, not {_told(axes)}', _MATRIX)
        before = len(self.problems)
        beside = {key: self._entries(key, node, inner, value) for key in ("include", "exclude")}
        names = [name for name in axes if name not in beside]
        if not names and "include" not in value and "include" not in axes:
            return self._wrong(inner.mark, "this matrix has no axes", _MATRIX)
        built = {str(name): self._axis(_within(inner, name), str(name), axes[name]) for name in names}
        for entry, keys in beside["exclude"]:
            if unknown := [key for key in keys if key not in built]:
                guess = did_you_mean(str(unknown[0]), tuple(built))
                self._wrong(_key(entry, unknown[0]), f'"exclude" names no axis with "{unknown[0]}"{guess}', _EXCLUDE)
        if len(self.problems) > before:
            return None
        sources = {name: source for name, source in built.items() if source is not None}
        include, exclude = (tuple(entry for _, entry in beside[key]) for key in ("include", "exclude"))
        return Matrix(sources, include, exclude)

    def _entries(
        self, key: str, node: Node, inner: Node, value: Mapping[Any, Any]
    ) -> list[tuple[Node, Mapping[Any, Any]]]:
        """The mappings of `include` or `exclude`, each with its node: they stand beside the axes, or, as GitHub Actions
        has them, among them."""
        among = value["matrix"]
        if key in value and key in among:
            self._wrong(_within(inner, key).mark, f'"{key}" is there twice: beside the matrix and in it')
            return []
        outer, holder = (node, value) if key in value else (inner, among)
        at, given = _within(outer, key), holder.get(key, [])
        for reference in references(given):
            self._wrong(
                at.mark, f'{_called(reference)} cannot stand in "{key}": its value is only known during the run', _AXIS
            )
            return []
        if not isinstance(given, list):
            self._wrong(at.mark, f'"{key}" takes a list of mappings, not {_told(given)}', _ENTRIES.format(key))
            return []
        nodes = at.items if isinstance(at, ListNode) else (at,) * len(given)
        for entry, keys in zip(nodes, given, strict=True):
            if not isinstance(keys, Mapping) or not keys:
                told = "an empty mapping" if keys == {} else _told(keys)
                self._wrong(entry.mark, f'"{key}" takes a list of mappings; this is {told}', _ENTRIES.format(key))
                return []
        return list(zip(nodes, given, strict=True))

    def _axis(self, node: Node, name: str, value: Any) -> Source | None:
        if _of_python(value):
            value = list(value)  # each of its values is wanted again and again
        if not isinstance(value, list | Mapping | Part):
            wants = f'the axis "{name}" takes a list of values, or a source of them, not {_told(value)}'
            return self._wrong(node.mark, wants, f"write  {name}: [{_plainly(value)}]")
        source = self._source(node, value, f'the axis "{name}"')
        if endless(source):
            why = f'the axis "{name}" may have no end, and each of its values goes with each of the others'
            return self._wrong(node.mark, why, 'bound the generator with "take"')
        return source

    def _batches(self, node: Node, inner: Node, value: Mapping[Any, Any]) -> Source | None:
        size, given = value.get("size"), value["batches"]
        if "size" not in value:
            return self._wrong(node.mark, '"batches" does not say how many items are in one', _BATCHES)
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            mark = _within(node, "size").mark
            return self._wrong(mark, f'"size" of batches is a whole number, 1 or more, not {_told(size)}')
        if isinstance(given, list) and isinstance(inner, ListNode) and any(map(_is_source, inner.items, given)):
            return self._wrong(inner.mark, '"batches" takes one source, not several side by side', _BATCHES)
        source = self._source(inner, given, '"batches"')
        return None if source is None else Batches(source, size)

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
_SEVERAL = "side by side each has a name:  over: {x: {range: 3}, y: {lines: names.txt}}; else write a stage for each"
_MATRIX = "write  {matrix: {a: [1, 2], b: [x, y]}}"
_ENTRIES = "write  {}: [{{a: 1, b: x}}]"
_EXCLUDE = "an entry drops the combinations that have all of its values, so each of its keys is an axis"
_AXIS = "an axis may be  ${stages.x}"
_BATCHES = "write  {batches: SOURCE, size: 100}"
_RANGE = "write {range: 10}, {range: [start, stop]} or {range: [start, stop, step]}"
_FILES: Mapping[str, Callable[[str], Source]] = {"glob": Glob, "lines": Lines, "csv": Csv, "jsonl": Jsonl}


def _names_source(value: Mapping[Any, Any]) -> bool:
    """Exactly one key that is a source, alone or with what goes with it."""
    kinds = [key for key in value if key in SOURCES]
    if len(kinds) != 1:
        return False
    axes = value[kinds[0]]
    if kinds == ["matrix"] and isinstance(axes, Mapping) and not _names_source(axes):
        return True  # no column: it would be a source itself. So what else is here is misspelt
    others = [v for key, v in value.items() if key != kinds[0] and key not in _COMPANIONS.get(kinds[0], ())]
    return not others or not all(isinstance(v, list | Mapping | Part) for v in value.values())


def _is_source(node: Node, value: Any) -> bool:
    """Whether an element of a list is a column: a reference to items, or a mapping that names a source."""
    if isinstance(value, Mapping):
        kinds = [key for key in value if key in SOURCES]
        return len(kinds) == 1 and set(value) <= {kinds[0], *_COMPANIONS.get(kinds[0], ())}
    return _is_reference(node) and isinstance(value, list | Part)


def _called(reference: Reference) -> str:
    """As its user wrote it: what a file around has given has a sign of our own."""
    written = str(reference)
    return f"{written.replace('^', '')} of the file around" if "^" in written else written


def _within(node: Node, key: Any) -> Node:
    """The node of a key's value; where the whole came out of a parameter, the node of that."""
    return (node.get(key) if isinstance(node, MapNode) else None) or node


def _key(node: Node, key: Any) -> Mark:
    """The place of a key, or of the whole where that is not written here."""
    entry = node.entries.get(key) if isinstance(node, MapNode) else None
    return entry.key.mark if entry else node.mark


def _plainly(value: Any) -> str:
    return short(str(value)) if isinstance(value, str | int | float) and not isinstance(value, bool) else "…"


def _is_reference(node: Node) -> bool:
    if not isinstance(node, Scalar) or not isinstance(node.value, str):
        return False
    try:
        return isinstance(parse(node.value), Part)
    except ExpressionError:
        return False


def _of_python(value: Any) -> bool:
    """Items that YAML cannot hold: a tuple, an array, a generator."""
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | list | Mapping)


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
