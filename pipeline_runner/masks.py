"""Secrets in text: `***` stands for each, wherever text is shown or kept."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from enum import Enum
from functools import cached_property

from pipeline_runner.typed import Any, TypeVar

MASK = "***"
CUT = "…"  # what stands where our own texts leave something out
SHORTEST = 4  # characters: what is shorter stands in too much other text

T = TypeVar("T")


class Mask:
    """Hides some values: as they are, and as `repr` and JSON write them. Other spellings, base64 among them, it does
    not know."""

    def __init__(self, values: Iterable[str]) -> None:
        self._forms = sorted({form for value in values for form in _forms(value)}, key=len, reverse=True)

    def __bool__(self) -> bool:
        return bool(self._forms)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile("|".join(map(re.escape, self._forms)))

    @cached_property
    def _data(self) -> tuple[bytes, ...]:
        return tuple(form.encode("utf-8", "surrogatepass") for form in self._forms)

    def text(self, text: str) -> str:
        """The text without secrets; nor has it, at its end or where it was cut, the beginning of one."""
        if not self._forms:
            return text
        return CUT.join(map(self._without_beginning, self._pattern.sub(MASK, text).split(CUT)))

    def _without_beginning(self, text: str) -> str:
        for form in self._forms:
            for length in range(min(len(form) - 1, len(text)), SHORTEST - 1, -1):
                if text.endswith(form[:length]):
                    return text[:-length] + MASK
        return text

    def whole(self, value: T) -> T:
        """The same of every text in lists, mappings and our own small values. What is unlike them stays as it is."""
        return value if not self._forms else self._whole(value)

    def _whole(self, value: Any) -> Any:
        match value:
            case Enum():
                return value
            case str():
                return self.text(value)
            case bytes():
                return None if self.held(value) else value
            case Mapping():
                return {self._whole(key): self._whole(inner) for key, inner in value.items()}
            case list() | tuple() if type(value) in (list, tuple):
                return type(value)(map(self._whole, value))
            case tuple() if hasattr(value, "_fields"):
                return type(value)(*map(self._whole, value))
        from dataclasses import fields, is_dataclass, replace

        if is_dataclass(value) and not isinstance(value, type):
            told = {field.name: getattr(value, field.name) for field in fields(value) if field.init}
            return replace(value, **{name: self._whole(inner) for name, inner in told.items()})
        return value

    def held(self, data: bytes) -> bool:
        """Whether a secret is in these bytes, as it is in what pickle makes of it."""
        return any(form in data for form in self._data)


def _forms(value: str) -> Iterable[str]:
    """The ways in which a value is written. Of one with several lines each by itself, too: output is told in lines."""
    stripped = value.strip()
    lines = [line.strip() for line in value.splitlines()] if len(value.splitlines()) > 1 else []
    for text in (value, stripped, *lines):
        for form in (text, repr(text)[1:-1], json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
            if len(form) >= SHORTEST:
                yield form


NOTHING = Mask(())
