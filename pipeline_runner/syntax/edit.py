"""Sets keys of one mapping in a YAML text, and leaves every other character as it is.

Where the text does not lend itself to that (an alias stands where the mapping would be, say), it is refused: what
was made is read again, and must say what the old text says and the new keys, nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass

import yaml

from pipeline_runner.errors import PipelineError
from pipeline_runner.syntax.reader import plain, read
from pipeline_runner.typed import Any

Pair = tuple[Any, Any]  # PyYAML's nodes of a key and its value: they know where they begin and end in the text


class CannotEdit(PipelineError):
    """A key cannot be put where it belongs without touching anything else."""

    exit_code = 2

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def with_keys(text: str, path: Sequence[str], keys: Mapping[str, str | int | bool], *, after: Sequence[str]) -> str:
    """The text with these keys in the mapping that `path` leads to: in the place of their old values, or after the
    first of the keys `after` that is there, else before all others. Errors: CannotEdit."""
    wanted = plain(root) if (root := read(text, "").root) is not None else None
    made = text
    for key, value in keys.items():
        made = _with_key(made, path, key, value, after)
        wanted = _set(wanted, [*path, key], value)
        after = (key, *after)
    told = read(made, "")
    if told.problems or told.root is None or plain(told.root) != wanted:
        raise CannotEdit("it shares lines with something else, as an alias does")
    return made


def _set(values: Any, path: Sequence[str], value: str | int | bool) -> Any:
    changed = deepcopy(values)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return changed


def _with_key(text: str, path: Sequence[str], key: str, value: str | int | bool, after: Sequence[str]) -> str:
    # Only where things stand is asked of PyYAML; what they mean has been read already, within all its bounds.
    mapping = yaml.compose(text, Loader=yaml.SafeLoader)
    for name in path:
        mapping = _found(mapping, name)
    if not isinstance(mapping, yaml.MappingNode):
        raise CannotEdit(f'"{path[-1]}" is no mapping of keys')
    old = next((pair for pair in mapping.value if pair[0].value == key), None)
    if old is not None:
        return _replaced(text, old, value)
    return _Place(text, mapping, after).with_key(key, value)


def _found(mapping: Any, name: str) -> Any:
    """What a key holds that is written there itself."""
    pairs = mapping.value if isinstance(mapping, yaml.MappingNode) else ()
    pair = next((pair for pair in pairs if pair[0].value == name), None)
    if pair is None:
        raise CannotEdit(f'"{name}" is not written in this file')
    if _is_alias(pair):
        raise CannotEdit(f'"{name}" is an alias of what is written elsewhere')
    return pair[1]


def _is_alias(pair: Pair) -> bool:
    """Whether the value is written elsewhere: what an anchor names stands before its aliases."""
    key, value = pair
    return bool(value.start_mark.index < key.end_mark.index)


def _replaced(text: str, pair: Pair, value: str | int | bool) -> str:
    key, old = pair
    if _is_alias(pair) or not isinstance(old, yaml.ScalarNode) or old.style in ("|", ">"):
        raise CannotEdit(f'the value of "{key.value}" is not written in one word')
    start, end = old.start_mark.index, old.end_mark.index
    before = " " if start == end and text[start - 1 : start] == ":" else ""
    return text[:start] + before + _word(value, old.style or "") + text[end:]


def _word(value: str | int | bool, quote: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{quote}{value}{quote}" if isinstance(value, str) else str(value)


@dataclass(frozen=True)
class _Place:
    """A mapping, and the key beside which a new one is to stand."""

    text: str
    mapping: Any
    after: Sequence[str]

    def with_key(self, key: str, value: str | int | bool) -> str:
        pairs: list[Pair] = self.mapping.value
        if not pairs:
            return self._at(self.mapping.start_mark.index + 1, f"{key}: {_word(value, '')}")
        pair = next((pair for name in self.after for pair in pairs if pair[0].value == name), None)
        return (self._in_flow if self.mapping.flow_style else self._in_block)(
            pair or pairs[0], pair is None, key, value
        )

    def _in_flow(self, pair: Pair, before: bool, key: str, value: str | int | bool) -> str:
        quote = pair[0].style or ""  # JSON is YAML too, and is to stay JSON
        entry = f"{_word(key, quote)}: {_word(value, quote)}"
        if before or not _ends_where_it_says(pair):
            return self._at(pair[0].start_mark.index, f"{entry}, ")
        return self._at(pair[1].end_mark.index, f", {entry}")

    def _in_block(self, pair: Pair, before: bool, key: str, value: str | int | bool) -> str:
        entry = f"{key}: {_word(value, '')}"
        line = self._line_start(pair[0].start_mark.index)
        indent = self.text[line : pair[0].start_mark.index]
        if indent.strip():
            raise CannotEdit(f'"{pair[0].value}" does not begin its line')
        if before or not _ends_where_it_says(pair):
            return self._at(line, f"{indent}{entry}{self._line_end}")
        end = self.text.find("\n", pair[1].end_mark.index)
        if end < 0:
            return self._at(len(self.text), f"{self._line_end}{indent}{entry}")
        return self._at(end + 1, f"{indent}{entry}{self._line_end}")

    def _line_start(self, index: int) -> int:
        return self.text.rfind("\n", 0, index) + 1

    @property
    def _line_end(self) -> str:
        first = self.text.find("\n")
        return "\r\n" if first > 0 and self.text[first - 1] == "\r" else "\n"

    def _at(self, index: int, more: str) -> str:
        return self.text[:index] + more + self.text[index:]


def _ends_where_it_says(pair: Pair) -> bool:
    """Whether a value ends on the line of its end mark: that of block text, lists and mappings is further down."""
    value = pair[1]
    if _is_alias(pair):
        return False
    return bool(value.flow_style) if isinstance(value, yaml.CollectionNode) else value.style not in ("|", ">")
