"""YAML text becomes nodes that know their place; nothing that a text may hold can hang, crash or surprise us.

PyYAML gives only its parser's events: its composer and constructors, where bombs, tags and YAML 1.1's `no` live,
are never used. Everything else of a pipeline is read from these nodes and from nowhere else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

from pipeline_runner.classes import dataclass
from pipeline_runner.errors import Problem, did_you_mean
from pipeline_runner.marks import Mark
from pipeline_runner.syntax.parser import yaml
from pipeline_runner.typed import Any, NamedTuple, NoReturn

MOST_CHARACTERS = 16 * 1024 * 1024
MOST_NODES = 250_000  # counted with every alias written out
MOST_REPEATED = 4_000  # values that aliases may add to the file, or four times those that are written, if that is more
MOST_DEPTH = 40
MOST_DIGITS = 1000  # reading a number takes time in the square of them

Value = str | int | float | bool | None

_PART = (1 << 24) - 1  # lines, columns and widths are less: so many characters are not read


def placed(start: Any, end: Any) -> int:
    """A stretch of a file from one place of the parser's to another, as one number: its line, its column and its width,
    which is 0 where it goes on to the end of the line."""
    line, column = start.line, start.column
    width = (end.column - column or 1) if end.line == line else 0
    place: int = line << 48 | column << 24 | width
    return place


# ----------------------------------------------------------------------------------------------- nodes


class SourceText:
    """The lines of one file, from which marks are cut."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.lines = _LINE_END.split(text)

    def mark(self, line: int, column: int, width: int | None = 1) -> Mark:
        """The stretch at a line and column counted from 0, moved into the text where it is past the end. No width: to
        the end of the line."""
        line = min(line, len(self.lines) - 1)
        text = self.lines[line]
        if width is None:
            width = len(text.rstrip()) - column
        column = min(column, len(text))
        return Mark(self.file, line + 1, column + 1, max(1, min(width, len(text) - column)), text)


class _Placed:
    """Something of a file. Where it stands is found when somebody asks: of thousands nobody does."""

    __slots__ = ("_place", "source")

    def __init__(self, place: Mark | int, source: SourceText | None) -> None:
        """`place`: a mark, or one in `source` as `placed` packs it."""
        self._place = place
        self.source = source

    @property
    def mark(self) -> Mark:
        if isinstance(self._place, Mark) or self.source is None:
            return self._place  # type: ignore[return-value]
        return self.source.mark(self._place >> 48, self._place >> 24 & _PART, self._place & _PART or None)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and all(getattr(other, name) == getattr(self, name) for name in self._told)

    def __hash__(self) -> int:
        return hash(self.mark)

    @property
    def _told(self) -> tuple[str, ...]:
        return (*type(self).__slots__, "mark")


class Scalar(_Placed):
    """One value."""

    __slots__ = ("lines", "plain", "value")

    def __init__(
        self, value: Value, place: Mark | int, plain: bool, lines: int = 1, source: SourceText | None = None
    ) -> None:
        self._place = place
        self.source = source
        self.value = value
        self.plain = plain  # written without quotes
        self.lines = lines  # of the file, from the mark's

    def __repr__(self) -> str:
        return f"Scalar({self.value!r}, {self.mark}, plain={self.plain}, lines={self.lines})"

    def inside(self, start: int, width: int) -> Mark:
        """The place of value[start : start + width], or of the whole scalar where escapes or folding hide it."""
        if not isinstance(self.value, str) or self.source is None:
            return self.mark
        word = self.value[start : start + width].split("\n")[0]
        before = self.value[:start].count(word) if word else 0
        for line in range(self.mark.line - 1, self.mark.line - 1 + self.lines):
            text = self.source.lines[line]
            at = self.mark.column - 1 if line == self.mark.line - 1 else 0
            while word and (at := text.find(word, at)) >= 0:
                if before == 0:
                    return self.source.mark(line, at, len(word))
                before -= 1
                at += 1
        return self.mark


class ListNode(_Placed):
    """A list."""

    __slots__ = ("items",)
    __match_args__ = ("items",)

    def __init__(self, items: tuple[Node, ...], place: Mark | int, source: SourceText | None = None) -> None:
        super().__init__(place, source)
        self.items = items


class Entry(NamedTuple):
    """One key of a mapping, with its value."""

    key: Scalar
    value: Node


class MapNode(_Placed):
    """Keys and values, in the order of the file; no key twice."""

    __slots__ = ("entries",)

    def __init__(self, entries: dict[Value, Entry], place: Mark | int, source: SourceText | None = None) -> None:
        super().__init__(place, source)
        self.entries = entries

    def get(self, key: Value) -> Node | None:
        entry = self.entries.get(key)
        return entry.value if entry else None


Node = Scalar | ListNode | MapNode


def plain(node: Node) -> Any:
    """The node's value as Python's own lists, dicts and scalars."""
    match node:
        case Scalar():
            return node.value
        case ListNode():
            return [plain(item) for item in node.items]
        case MapNode():
            return {key: plain(entry.value) for key, entry in node.entries.items()}


@dataclass(frozen=True)
class Document:
    """What was read. No root: the text is empty, or a problem ended the reading."""

    root: Node | None
    problems: tuple[Problem, ...]


# -------------------------------------------------------------------------------------------- problems


@dataclass(frozen=True, kw_only=True)
class NotYaml(Problem):
    """The text cannot be read as YAML."""

    what: str
    cure: str = ""

    def sentence(self) -> str:
        return f"this is not YAML: {self.what}"

    def advice(self) -> Sequence[str]:
        return (self.cure,) if self.cure else ()


@dataclass(frozen=True, kw_only=True)
class BadCharacter(Problem):
    """A character that YAML does not allow."""

    character: str

    def sentence(self) -> str:
        return f"the character U+{ord(self.character):04X} may not stand in YAML"

    def advice(self) -> Sequence[str]:
        if self.character == "\0" or "\ud800" <= self.character <= "\udfff":
            return ("remove it",)
        return (rf"remove it, or write it as \u{ord(self.character):04X} inside double quotes",)


@dataclass(frozen=True, kw_only=True)
class NotUtf8(Problem):
    """Bytes that are not UTF-8."""

    byte: int

    def sentence(self) -> str:
        return f"the file is not UTF-8: byte 0x{self.byte:02X}"

    def advice(self) -> Sequence[str]:
        return ("save it as UTF-8, the only encoding that a pipeline may have",)


@dataclass(frozen=True, kw_only=True)
class TooLarge(Problem):
    """More than the reader is willing to take."""

    what: str
    most: int

    def sentence(self) -> str:
        return f"{self.what}: at most {self.most:,} are read"

    def advice(self) -> Sequence[str]:
        return ("what is long belongs in a file: over: {lines: FILE}, {csv: FILE} or {jsonl: FILE}",)


@dataclass(frozen=True, kw_only=True)
class TooDeep(Problem):
    """Lists and mappings inside each other without end."""

    def sentence(self) -> str:
        return f"nested more than {MOST_DEPTH} deep"


@dataclass(frozen=True, kw_only=True)
class DuplicateKey(Problem):
    """A key written twice in one mapping."""

    key: str
    first_line: int

    def sentence(self) -> str:
        return f'key "{self.key}" is already there in line {self.first_line}; this one is in line {self.line}'

    @property
    def line(self) -> int:
        return self.mark.line if self.mark else 0


@dataclass(frozen=True, kw_only=True)
class TagRefused(Problem):
    """A `!tag`: they make objects, and a pipeline is only data."""

    tag: str

    def sentence(self) -> str:
        return f'tags such as "{self.tag}" are not read'

    def advice(self) -> Sequence[str]:
        return ("remove it; put quotes around a text that begins with !",)


@dataclass(frozen=True, kw_only=True)
class UnknownAnchor(Problem):
    """A `*name` without its `&name` before it."""

    name: str
    known: tuple[str, ...]

    def sentence(self) -> str:
        return f'there is no anchor "&{self.name}" before this{did_you_mean(self.name, self.known)}'

    def advice(self) -> Sequence[str]:
        return ("put quotes around a text that begins with *, such as a file pattern",)


@dataclass(frozen=True, kw_only=True)
class RecursiveAnchor(Problem):
    """A `*name` inside its own `&name`."""

    name: str

    def sentence(self) -> str:
        return f'"*{self.name}" stands inside its own anchor "&{self.name}": it would never end'


@dataclass(frozen=True, kw_only=True)
class BadKey(Problem):
    """A key that is a list or a mapping."""

    kind: str

    def sentence(self) -> str:
        return f"a key is a word; this one is {self.kind}"

    def advice(self) -> Sequence[str]:
        return ('put quotes around a text that holds { } or [ ], such as "${params.name}"',)


@dataclass(frozen=True, kw_only=True)
class BadMerge(Problem):
    """`<<` with something that is not a mapping."""

    def sentence(self) -> str:
        return '"<<" merges a mapping, or a list of mappings, and this is neither'


@dataclass(frozen=True, kw_only=True)
class BadNumber(Problem):
    """A number that no computer holds."""

    why: str

    def sentence(self) -> str:
        return f"this number is {self.why}"

    def advice(self) -> Sequence[str]:
        return ("put quotes around it if it is text",)


@dataclass(frozen=True, kw_only=True)
class SecondDocument(Problem):
    """`---` a second time."""

    def sentence(self) -> str:
        return "a second document begins here; a pipeline is one document"


# --------------------------------------------------------------------------------------------- reading

_LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
# Those that YAML leaves out, and not those that it has: the sets of so many take ten times as long to make.
_NOT_ALLOWED = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")
_NEVER_A_VALUE = re.compile("[\0\ud800-\udfff]")  # by an escape: no path can hold the one, no file the other
_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
# YAML 1.2's core schema, but numbers with leading zeros are text: nobody means 755 by 0755.
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


def decode(data: bytes, file: str) -> str | NotUtf8:
    """The text of a file's bytes, or the place where they are no UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        lines = data[: error.start].decode("utf-8").split("\n")
        text = lines[-1] + data[error.start :].split(b"\n")[0].decode("utf-8", "replace")
        mark = Mark(file, len(lines), len(lines[-1]) + 1, 1, text.rstrip("\r"))
        return NotUtf8(mark=mark, byte=data[error.start])


def read(text: str, file: str) -> Document:
    """Read one YAML document, with all the problems that can be told in one go. Never raises."""
    text = text.removeprefix("\ufeff")
    if len(text) > MOST_CHARACTERS:
        first = Mark(file, 1, 1)
        return Document(None, (TooLarge(mark=first, what="too many characters in the file", most=MOST_CHARACTERS),))
    source = SourceText(file, text)
    if strange := tuple(_strange_characters(source)):
        return Document(None, strange)
    reader = _Reader(source, text)
    try:
        root = reader.document()
    except _Stop as stop:
        return Document(None, (*reader.problems, stop.problem))
    return Document(root, tuple(reader.problems))


def _strange_characters(source: SourceText) -> Iterator[BadCharacter]:
    """Those that YAML forbids; a few are enough to tell."""
    found = 0
    for number, line in enumerate(source.lines):
        for match in _NOT_ALLOWED.finditer(line):
            yield BadCharacter(mark=source.mark(number, match.start()), character=match[0])
            found += 1
            if found == 10:
                return


_AliasEvent, _ScalarEvent = yaml.AliasEvent, yaml.ScalarEvent


class _Stop(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem


@dataclass
class _Anchor:
    node: Node | None = None  # None while it is still being read
    size: int = 0
    height: int = 0


class _Reader:
    def __init__(self, source: SourceText, text: str) -> None:
        self.source = source
        self.text = text
        self.problems: list[Problem] = []
        self.anchors: dict[str, _Anchor] = {}
        self.missing: set[Mark] = set()  # where an unknown alias stands
        self.loader: Any = None
        self.nodes = 0
        self.repeated = 0  # of the nodes, those that aliases wrote out
        self.deepest = 0  # depth reached since the innermost open anchor began

    def document(self) -> Node | None:
        """The root. Whatever the parser raises ends the reading with a marked problem."""
        try:
            self.loader = getattr(yaml, "CLoader", yaml.Loader)(self.text)
            try:
                return self._document()
            finally:
                self.loader.dispose()
        except yaml.MarkedYAMLError as error:
            raise _Stop(_explain(error, self.source)) from error
        except (_Stop, AssertionError):
            raise
        except Exception as error:
            # Not only YAMLError: its scanners were measured to leak ValueError, IndexError and more.
            last = len(self.source.lines) - 1
            raise _Stop(NotYaml(mark=self.source.mark(last, 0), what=str(error) or type(error).__name__)) from error

    def _document(self) -> Node | None:
        root: Node | None = None
        documents = 0
        while not isinstance(event := self.loader.get_event(), yaml.StreamEndEvent):
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._stop(SecondDocument(mark=self._mark(event)))
            elif isinstance(event, yaml.NodeEvent):
                root = self._node(event, 1)
        if isinstance(root, Scalar) and root.plain and root.value is None:
            return None
        return root

    def _node(self, event: Any, depth: int) -> Node:
        self.nodes += 1
        if depth > self.deepest or self.nodes > MOST_NODES:
            self._go_on(event, depth)
        kind = type(event)
        if kind is _AliasEvent:
            return self._alias(event, depth)
        if event.tag is not None:
            line, column = event.start_mark.line, event.start_mark.column
            tag = self.source.lines[line][column:].split(maxsplit=1)[0]
            self.problems.append(TagRefused(mark=self.source.mark(line, column, len(tag)), tag=tag))
        if event.anchor is not None:
            return self._anchored(event, depth)
        return self._scalar(event) if kind is _ScalarEvent else self._content(event, depth)

    def _go_on(self, event: Any, depth: int) -> None:
        """Deeper, if that is not too deep, and if there are not too many nodes."""
        if depth > self.deepest:
            self.deepest = depth
            if depth > MOST_DEPTH:
                self._stop(TooDeep(mark=self._mark(event)))
        if self.nodes > MOST_NODES:
            self._stop(TooLarge(mark=self._mark(event), what="too many values in the file", most=MOST_NODES))

    def _anchored(self, event: Any, depth: int) -> Node:
        anchor = self.anchors[event.anchor] = _Anchor()
        outer, self.deepest = self.deepest, depth
        before = self.nodes
        node = self._content(event, depth)
        anchor.node, anchor.size, anchor.height = node, self.nodes - before, self.deepest - depth
        self.deepest = max(outer, self.deepest)
        return node

    def _alias(self, event: Any, depth: int) -> Node:
        mark = self._mark(event)
        anchor = self.anchors.get(event.anchor)
        if anchor is None:
            self.problems.append(UnknownAnchor(mark=mark, name=event.anchor, known=tuple(self.anchors)))
            self.missing.add(mark)
            return Scalar(None, mark, plain=True)
        if anchor.node is None:
            self._stop(RecursiveAnchor(mark=mark, name=event.anchor))
        self.nodes += anchor.size
        self.repeated += anchor.size
        self.deepest = max(self.deepest, depth + anchor.height)
        most = min(MOST_NODES, max(MOST_REPEATED, 4 * (self.nodes - self.repeated)))
        if self.repeated > most:
            self._stop(TooLarge(mark=mark, what="too many values that aliases write out", most=most))
        if self.nodes > MOST_NODES:
            self._stop(
                TooLarge(mark=mark, what="too many values in the file, with aliases written out", most=MOST_NODES)
            )
        if depth + anchor.height > MOST_DEPTH:
            self._stop(TooDeep(mark=mark))
        return anchor.node

    def _content(self, event: Any, depth: int) -> Node:
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(event, depth)
        return self._mapping(event, depth)

    def _sequence(self, start: Any, depth: int) -> ListNode:
        items: list[Node] = []
        next_event, end = self.loader.get_event, yaml.SequenceEndEvent
        while type(event := next_event()) is not end:
            items.append(self._node(event, depth + 1))
        return ListNode(tuple(items), placed(start.start_mark, event.end_mark), self.source)

    def _mapping(self, start: Any, depth: int) -> MapNode:
        entries: dict[Value, Entry] = {}
        merged: list[MapNode] = []
        next_event, end, node = self.loader.get_event, yaml.MappingEndEvent, self._node
        depth += 1
        while type(event := next_event()) is not end:
            key = node(event, depth)
            value = node(next_event(), depth)
            # Most of all: a word that is not there yet, with something that is more than nothing.
            if type(key) is Scalar and key.value not in entries and key.value != "<<" and not _nothing(value):
                entries[key.value] = Entry(key, value)
            else:
                self._entry(key, value, entries, merged)
        for other in merged:
            for name, entry in other.entries.items():
                entries.setdefault(name, entry)
        return MapNode(entries, placed(start.start_mark, event.end_mark), self.source)

    def _entry(self, key: Node, value: Node, entries: dict[Value, Entry], merged: list[MapNode]) -> None:
        if not isinstance(key, Scalar):
            kind = "a list" if isinstance(key, ListNode) else "a mapping"
            self.problems.append(BadKey(mark=key.mark, kind=kind))
        elif key.plain and key.value == "<<":
            merged += self._merged(value)
        elif key.value in entries:
            first = entries[key.value].key.mark.line
            self.problems.append(DuplicateKey(mark=key.mark, key=_written(key), first_line=first))
        else:
            if _nothing(value):
                value = Scalar(None, key.mark, plain=True)  # nothing was written: the key is what can be shown
            entries[key.value] = Entry(key, value)

    def _merged(self, value: Node) -> list[MapNode]:
        given = value.items if isinstance(value, ListNode) else (value,)
        wrong = [node for node in given if not isinstance(node, MapNode) and node.mark not in self.missing]
        self.problems += [BadMerge(mark=node.mark) for node in wrong]
        return [node for node in given if isinstance(node, MapNode)]

    def _scalar(self, event: Any) -> Scalar:
        text, start, end, style = event.value, event.start_mark, event.end_mark, event.style
        lines, line = 1, start.line
        if line != end.line or not text:
            lines = end.line - line + 1 if style or text or line != end.line else 0
            lines = min(lines, len(self.source.lines) - min(line, len(self.source.lines) - 1))
        scalar = Scalar(text, placed(start, end), not style, lines, self.source)
        if not style:
            scalar.value = self._resolve(text, scalar)
        elif style == '"' and not text.isprintable() and (strange := _NEVER_A_VALUE.search(text)):
            self.problems.append(BadCharacter(mark=scalar.mark, character=strange[0]))
        return scalar

    def _resolve(self, text: str, scalar: Scalar) -> Value:
        """A plain scalar's value in YAML 1.2's core schema."""
        if text in _NULL:
            return None
        if text in _BOOL:
            return _BOOL[text]
        if text[0] not in "+-.0123456789":
            return text
        if _INFINITE.fullmatch(text):
            return float(text.replace(".", "", 1))
        is_int, is_based = _INT.fullmatch(text), _BASED.fullmatch(text)
        if not (is_int or is_based or _FLOAT.fullmatch(text)):
            return text
        if len(text) > MOST_DIGITS:
            self.problems.append(BadNumber(mark=scalar.mark, why=f"{len(text):,} characters long"))
            return 0
        if is_int:
            return int(text)
        if is_based:
            return int(text, 0)
        number = float(text)
        if math.isinf(number):
            self.problems.append(BadNumber(mark=scalar.mark, why="too large to be held"))
        return number

    def _mark(self, event: Any) -> Mark:
        return Scalar(None, placed(event.start_mark, event.end_mark), plain=True, source=self.source).mark

    def _stop(self, problem: Problem) -> NoReturn:
        raise _Stop(problem)


def _nothing(value: Node) -> bool:
    """Whether nothing was written where a value could be."""
    return type(value) is Scalar and value.lines == 0 and value.plain and value.value is None


def _written(key: Scalar) -> str:
    return str(key.value) if isinstance(key.value, str) else key.mark.text[key.mark.column - 1 :][: key.mark.width]


def _explain(error: yaml.MarkedYAMLError, source: SourceText) -> NotYaml:
    """The parser's complaint in words that say what to do."""
    place = error.problem_mark or error.context_mark
    line, column = (place.line, place.column) if place else (len(source.lines) - 1, 0)
    mark = source.mark(line, column)
    what = error.problem or "it cannot be read"
    at = mark.text[mark.column - 1 : mark.column]
    if "\t" in mark.text[: max(mark.column, 1)] and not mark.text[: mark.column].strip():
        return NotYaml(mark=mark, what="a tab begins this line", cure="indent with spaces")
    if "cannot start any token" in what and at:
        return NotYaml(mark=mark, what=f'a text cannot begin with "{at}"', cure="put quotes around it")
    if "scanning an alias" in (error.context or "") or "scanning an anchor" in (error.context or ""):
        return NotYaml(mark=mark, what="a text cannot begin with * or &", cure="put quotes around it")
    if "mapping values are not allowed" in what:
        cure = 'put quotes around a text that holds ": ", or move the key to its own line'
        return NotYaml(mark=mark, what='a ":" where no key can be', cure=cure)
    if "${" in mark.text[: mark.column] and "flow" in (error.context or ""):
        return NotYaml(mark=mark, what=what, cure="inside [ ] and { }, put quotes around ${…}")
    if "unknown escape character" in what:
        return NotYaml(mark=mark, what=r"this \ begins no escape", cure=r"write \\, or use single quotes")
    if "escape code" in what:
        return NotYaml(mark=mark, what="this escape is no character", cure="write the character itself")
    if error.context_mark is not None and error.context and place is not None:
        began = source.mark(error.context_mark.line, error.context_mark.column)
        what = f"{what}, {error.context} that began in line {began.line}"
        if "quoted scalar" in error.context:
            return NotYaml(mark=began, what="this quote is never closed", cure="add the closing quote")
        if "flow" in error.context and not mark.text.strip():  # the file has ended meanwhile
            return NotYaml(mark=began, what="this bracket is never closed", cure="add the closing bracket")
        if "flow" in error.context:
            cure = "is a bracket not closed, or a comma missing?"
            return NotYaml(mark=mark, what=what, cure=f"{cure} It was opened in line {began.line}")
        if "block" in error.context:
            cure = "is this line indented as the ones before it?"
            return NotYaml(mark=mark, what=what, cure=cure)
        if "simple key" in error.context:
            return NotYaml(mark=began, what='there is no ":" after this key', cure='write "key: value"')
    return NotYaml(mark=mark, what=what)
