"""What a stage computes, as named parts and one key: two stages of one key give the same value for the same item.

The key is the hash of the parts, so it covers nothing that they do not name; and where two keys differ, the parts say
what has changed. No part holds the name of a stage: a stage that is renamed or moved computes what it did.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cached_property

from pipeline_runner.classes import dataclass, field
from pipeline_runner.hashing import sha256
from pipeline_runner.masks import MASK
from pipeline_runner.spec.pipeline import StageName
from pipeline_runner.worker.job import COMMAND

SOURCE = "source "  # a part's name, before the number of the source
COMMANDS = f"argument {COMMAND}"  # of a stage that is a command: its text, or its words
_HIDDEN = "secret [0-9a-f]{64}"  # what stands for a secret where keys.py has hidden one


@dataclass(frozen=True)
class Change:
    """One part that is not what it was; None: it is not there."""

    part: str  # "function work:scale", "argument top", 'source "read"', "package numpy", "salt", …
    then: str | None
    now: str | None

    def __str__(self) -> str:
        if self.then is None:
            return f"{self.part} is new"
        if self.now is None:
            return f"{self.part} is gone"
        if self.part.startswith(("package ", "python")):
            return f"{self.part} {self.then or '(unknown)'} → {self.now or '(unknown)'}"
        return f"{self.part} has changed"


@dataclass(frozen=True)
class Recipe:
    """A stage's parts. `unknown`: why it has no key, so that nothing of it can be known again."""

    parts: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[StageName, ...] = ()  # the stages that it reads; "source 0" is the key of the first
    unknown: str = ""

    @cached_property
    def key(self) -> bytes | None:
        return None if self.unknown else key_of(self.parts)

    def changes(self, then: Mapping[str, str]) -> list[Change]:
        """What is not as it was when these were the parts."""
        names = sorted({*then, *self.parts}, key=lambda name: (not name.startswith(("function", SOURCE)), name))
        changed = [name for name in names if then.get(name) != self.parts.get(name)]
        return [Change(self._told(name), then.get(name), self.parts.get(name)) for name in changed]

    def _told(self, part: str) -> str:
        part = re.sub(_HIDDEN, MASK, part)
        if part == COMMANDS and self.parts.get("function", "").startswith("command"):
            return "its command"  # nobody has written an argument
        number = part.removeprefix(SOURCE)
        if number == part or int(number) >= len(self.sources):
            return part
        return f'{SOURCE}"{self.sources[int(number)]}"'


def key_of(parts: Mapping[str, str]) -> bytes:
    """The key of a stage with these parts."""
    return sha256(json.dumps(sorted(parts.items()), ensure_ascii=True).encode()).digest()


def call_key(recipe: bytes, index: int, digest: bytes | None) -> bytes:
    """The key of one call: its stage's, with the digest of what it is given, or its number where that says it."""
    told = b"number %d" % index if digest is None else b"digest " + digest
    return sha256(recipe + told).digest()
