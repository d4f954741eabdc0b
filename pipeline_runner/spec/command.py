"""What `run` says: a command with `${…}` in it, and how values are put in so that none of them is ever read as code."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import PurePath

from pipeline_runner.classes import dataclass
from pipeline_runner.syntax.expressions import (
    Expression,
    Part,
    Raw,
    Reference,
    Scope,
    Template,
    as_text,
    render,
)
from pipeline_runner.syntax.shell_text import HOLE, Place, Unsafe, places
from pipeline_runner.typed import Any
from pipeline_runner.worker.shell import Invocation, Refused


@dataclass(frozen=True)
class Known:
    """A value that stands where a `${…}` was."""

    value: Any


Piece = str | Part | Known
Text = tuple[Piece, ...]


@dataclass(frozen=True)
class CommandLine(Template):
    """A command as it is written, with what is known of its values.

    Filled in to its end it is an `Invocation`, or `Refused`: what one call was given may be what no command can be.
    """

    words: tuple[Text, ...]  # for a shell there is one: its text
    shell: bool
    written: str  # as people read it

    @property
    def reads(self) -> Iterator[Reference]:
        for piece in chain.from_iterable(self.words):
            match piece:
                case Reference():
                    yield piece
                case Expression(reads=reads):
                    yield from reads

    def filled(self, scope: Scope) -> CommandLine | Invocation | Refused:
        """Errors: ExpressionError when a path leads nowhere."""
        words = tuple(tuple(_filled(piece, scope) for piece in word) for word in self.words)
        if any(isinstance(piece, Part) for piece in chain.from_iterable(words)):
            return CommandLine(words, self.shell, self.written)
        try:
            return _of_shell(words[0]) if self.shell else _of_words(words)
        except _Unfit as unfit:
            return Refused(str(unfit))

    def __repr__(self) -> str:
        return self.written


def _filled(piece: Piece, scope: Scope) -> Piece:
    if not isinstance(piece, Part):
        return piece
    value = render(piece, scope)
    return value if isinstance(value, Part) else Known(value)


class _Unfit(Exception):
    """A value that no command can be given."""


# Without a shell.


def _of_words(words: tuple[Text, ...]) -> Invocation:
    argv: list[bytes] = []
    for word in words:
        if len(word) == 1 and isinstance(word[0], Known) and _many(word[0].value):
            argv += map(_bytes, word[0].value)
        else:
            argv.append(b"".join(_joined(piece.value if isinstance(piece, Known) else piece) for piece in word))
    if not argv:
        raise _Unfit("no word is left of its command")
    return Invocation(tuple(argv))


# With a shell.

_LINE = (b"/bin/sh", b"-c")  # as a line of a Makefile, or typed: `grep -q x file; echo $?` goes on
_SCRIPT = (b"/bin/sh", b"-ec")  # of several lines, as GitHub Actions has it: the first command that fails ends it
_NAME = (b"sh",)  # by which the shell tells of itself


def _of_shell(text: Text) -> Invocation:
    """The text with a variable of the shell's in the place of each value, and the values beside it.

    They come in the environment, where `ps` does not show them, and the text's first act is to take them out of it:
    what it starts does not inherit them.
    """
    script: list[bytes] = []
    names: dict[bytes, str] = {}
    where = iter(places(skeleton(text)))
    for piece in text:
        if not is_hole(piece) or not isinstance(piece, Known):
            script.append(_encoded(_as_written(piece)))
            continue
        place = next(where)
        if isinstance(place, Unsafe):
            raise _Unfit(f"a value cannot stand where {place.why}")
        several = place is Place.WORDS and _many(piece.value)
        values = list(map(_bytes, piece.value)) if several else [_joined(piece.value)]
        for value in values:
            names.setdefault(value, f"prun_{len(names) + 1}")
        script.append(" ".join(_VARIABLE[place].format(names[value]) for value in values).encode())
    variables = tuple((name.upper(), value) for value, name in names.items())
    whole = b"".join(script)
    shell = _SCRIPT if b"\n" in whole.replace(b"\\\n", b"").strip(b"\n") else _LINE
    return Invocation((*shell, _taken_out(variables) + whole, *_NAME), variables)


def _taken_out(variables: Sequence[tuple[str, bytes]]) -> bytes:
    """On the text's own first line, so that a shell counts its lines as the user does."""
    names = [name for name, _ in variables]
    if not names:
        return b""
    return f"{' '.join(f'{name.lower()}=${name}' for name in names)}; unset {' '.join(names)}; ".encode()


def typed(command: Invocation) -> str:
    """The command as it could be typed: what its variables are, and its text; or its words."""
    if not command.variables:
        return os.fsdecode(command.argv[2]) if _is_shell(command) else shlex.join(map(os.fsdecode, command.argv))
    given = [f"{name.lower()}={shlex.quote(os.fsdecode(value))}" for name, value in command.variables]
    return " ".join(given) + "\n" + os.fsdecode(command.argv[2].removeprefix(_taken_out(command.variables)))


def _is_shell(command: Invocation) -> bool:
    return command.argv[:2] in (_LINE, _SCRIPT) and command.argv[3:] == _NAME


_VARIABLE = {
    Place.WORDS: '"${}"',
    Place.WORD: '"${}"',
    Place.DOUBLE: "${{{}}}",
    Place.HERE: "${{{}}}",
    Place.SINGLE: "'\"${}\"'",
    Place.COMMENT: "",
}


def skeleton(text: Text) -> str:
    """A shell's text with a hole for each value. What is raw is part of the text, as far as it is known."""
    return "".join(HOLE if is_hole(piece) else _as_written(piece) for piece in text)


def is_hole(piece: Piece) -> bool:
    """Whether a value is to stand there that a shell may not read."""
    match piece:
        case str() | Known(value=Raw()):
            return False
        case Expression(source=source):
            return source.rpartition("|")[2].strip() != "raw"
    return True


def _as_written(piece: Piece) -> str:
    match piece:
        case str():
            return piece
        case Known(value=value):
            return str(value)
    return ""  # what it is comes with its call


# Values as bytes.


def unfit(value: Any) -> str | None:
    """Why a value cannot be a word of a command, or words; None: it can."""
    try:
        _joined(value)
    except _Unfit as why:
        return str(why)
    return None


def _many(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _joined(value: Any) -> bytes:
    """A value in one word: of a list, its elements with spaces between them."""
    return b" ".join(map(_bytes, value)) if _many(value) else _bytes(value)


def _bytes(value: Any) -> bytes:
    match value:
        case bytes():
            given = value
        case str() | bool() | int() | float() | None | PurePath():
            given = _encoded(as_text(value))
        case list() | tuple():
            raise _Unfit("a list within a list cannot be words of a command")
        case Mapping() | set() | frozenset():
            kind = "mapping" if isinstance(value, Mapping) else "set"
            raise _Unfit(f"a {kind} cannot be a word of a command: name a part of it, or write ${{… | tojson}}")
        case _:
            given = _encoded(as_text(value))
    if b"\0" in given:
        raise _Unfit("a value has a NUL character in it, which no command can be given")
    return given


def _encoded(text: str) -> bytes:
    if "\0" in text:
        raise _Unfit("a value has a NUL character in it, which no command can be given")
    try:
        return os.fsencode(text)
    except UnicodeEncodeError as error:
        raise _Unfit(f"a value cannot be written in {error.encoding}: {error.reason}") from None
