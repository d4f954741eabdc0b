"""What was asked of the disk and the environment while a plan was made, so that it can be asked again.

A plan that was kept is good as long as every answer is the same. Whoever asks says so here; where nobody listens, that
costs one look-up.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from pipeline_runner.classes import dataclass, field
from pipeline_runner.hashing import blake2b

Answer = str | bytes | bool | None
Question = tuple[str, ...]  # its kind, and what it is about


@dataclass
class Witness:
    """What was heard."""

    answers: dict[Question, Answer] = field(default_factory=dict)
    variables: set[str] = field(default_factory=set)  # of the environment
    sure: bool = True  # False: something was asked that cannot be asked again, or the answer changed meanwhile


_listening: ContextVar[Witness | None] = ContextVar("listening", default=None)


@contextmanager
def witnessed() -> Iterator[Witness]:
    """Hear all that is asked in here."""
    witness = Witness()
    before = _listening.set(witness)
    try:
        yield witness
    finally:
        _listening.reset(before)


def heard() -> bool:
    """Whether anybody listens: else an answer need not be made up for them."""
    return _listening.get() is not None


def saw(kind: str, *about: str, answer: Answer) -> None:
    """Somebody asked this, and goes by the answer."""
    witness = _listening.get()
    if witness is not None and witness.answers.setdefault((kind, *about), answer) != answer:
        witness.sure = False


def read_variable(name: str) -> None:
    """Somebody read a variable of the environment."""
    witness = _listening.get()
    if witness is not None:
        witness.variables.add(name)


def unsure() -> None:
    """Somebody goes by what nobody can ask again."""
    witness = _listening.get()
    if witness is not None:
        witness.sure = False


def digest(data: bytes) -> bytes:
    """What tells contents apart."""
    return blake2b(data, digest_size=16).digest()


def status(path: str) -> str | None:
    """What tells a large file from what it was before; None: it is not there."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return f"{found.st_ino} {found.st_size} {found.st_mtime_ns}"


def contents(path: str) -> bytes | None:
    """The digest of what is in a file; None: it cannot be read."""
    try:
        with open(path, "rb") as file:
            return digest(file.read())
    except (OSError, ValueError):
        return None
