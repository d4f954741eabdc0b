"""Reads the `run` of a stage: a text for a shell, or the words of a command."""

from __future__ import annotations

import shlex

from pipeline_runner.classes import dataclass
from pipeline_runner.errors import Problem
from pipeline_runner.spec.command import CommandLine, Known, Text, is_hole, skeleton, unfit
from pipeline_runner.spec.problems import UnclosedInShell, UnfitForCommand, UnsafeInShell, WrongType
from pipeline_runner.spec.templates import Broken, Filler
from pipeline_runner.syntax.expressions import Part, as_text, render
from pipeline_runner.syntax.reader import ListNode, Node, Scalar
from pipeline_runner.syntax.shell_text import HOLE, Unsafe, places, unclosed

_COMMAND = "a command: a text for a shell, or a list of words"
_WORDS = "a list of words"


def read_command(node: Node, filler: Filler, roots: tuple[str, ...], why: str) -> CommandLine | Broken | None:
    """The command, with what is known of its values; None: there is none. Problems go to the filler's."""
    reader = _Reader(filler, roots, why)
    match node:
        case Scalar(value=None):
            return None
        case Scalar():
            return reader.of_shell(node)
        case ListNode(items) if items:
            return reader.of_words(items)
        case _:
            return reader.wrong(node, _COMMAND, "an empty list" if isinstance(node, ListNode) else "a mapping")


@dataclass(frozen=True)
class _Reader:
    filler: Filler
    roots: tuple[str, ...]
    why: str

    def of_words(self, nodes: tuple[Node, ...]) -> CommandLine | Broken:
        words: list[Text] = []
        written: list[str] = []
        for node in nodes:
            if not isinstance(node, Scalar) or node.value is None:
                got = "nothing" if isinstance(node, Scalar) else "a list" if isinstance(node, ListNode) else "a mapping"
                self.wrong(node, _WORDS, f"{got} in it")
            elif (parts := self._parts(node)) is not None and (text := self._text(node, parts)) is not None:
                words.append(text)
                written.append(as_text(node.value))
        return (
            CommandLine(tuple(words), False, " ".join(map(_shown, written))) if len(words) == len(nodes) else Broken()
        )

    def of_shell(self, node: Scalar) -> CommandLine | Broken:
        written = as_text(node.value)
        if not written.strip():
            return self.wrong(node, _COMMAND, "an empty text")
        parts = self._parts(node)
        text = None if parts is None else self._text(node, parts)
        if parts is None or text is None:
            return Broken()
        values = [part for part, piece in zip(parts, text, strict=True) if is_hole(piece) and isinstance(part, Part)]
        unsafe = False
        for part, place in zip(values, places(skeleton(text)), strict=True):
            if isinstance(place, Unsafe):
                mark = node.inside(part.start, part.stop - part.start)
                self._tell(UnsafeInShell(mark=mark, reference=str(part), why=place.why, cure=place.cure))
                unsafe = True
        if not unsafe and (sign := _unclosed(text)):
            self._tell(UnclosedInShell(mark=node.mark, sign=sign))
            return Broken()
        return Broken() if unsafe else CommandLine((text,), True, written.rstrip("\n"))

    def wrong(self, node: Node, wants: str, got: str) -> Broken:
        self._tell(WrongType(mark=node.mark, key="run", wants=wants, got=got))
        return Broken()

    def _parts(self, node: Scalar) -> tuple[str | Part, ...] | None:
        written = as_text(node.value)
        if "\0" in written:
            self.wrong(node, _COMMAND, "a text with a NUL character")
            return None
        return self.filler.parts(node, written, "run", self.roots, self.why)

    def _text(self, node: Scalar, parts: tuple[str | Part, ...]) -> Text | None:
        """The text with what is known filled in; None: some of that can be no word of a command, and was told."""
        filled = [part if isinstance(part, str) else render(part, self.filler.known) for part in parts]
        text = tuple(
            piece if isinstance(part, str) or isinstance(piece, Part) else Known(piece)
            for part, piece in zip(parts, filled, strict=True)
        )
        misfits = [
            UnfitForCommand(mark=node.inside(part.start, part.stop - part.start), reference=str(part), why=why)
            for part, piece in zip(parts, text, strict=True)
            if isinstance(part, Part) and isinstance(piece, Known) and is_hole(piece) and (why := unfit(piece.value))
        ]
        self.filler.problems += misfits
        return None if misfits else text

    def _tell(self, problem: Problem) -> None:
        self.filler.problems.append(problem)


def _unclosed(text: Text) -> str:
    """The quote or bracket that is surely never closed: by our reading, and by that of the shell itself, for which
    only what looks so is given to it. What is `raw` may close anything, or be none of the pipeline's own words."""
    if any(not isinstance(piece, str) and not is_hole(piece) for piece in text):
        return ""
    whole = skeleton(text)
    sign = unclosed(whole)
    return sign if sign and _refused(whole.replace(HOLE, "x")) else ""


def _refused(script: str) -> bool:
    """Whether a shell cannot read a text. It runs nothing of it."""
    import subprocess

    try:
        done = subprocess.run(
            ["/bin/sh", "-n", "-c", script], stdin=subprocess.DEVNULL, capture_output=True, timeout=5, check=False
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return False
    return done.returncode != 0


def _shown(word: str) -> str:
    """A word as people read it: in quotes where it would look like several, or like none."""
    return word if word.split() == [word] else shlex.quote(word)
