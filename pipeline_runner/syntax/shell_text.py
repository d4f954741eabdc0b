"""Where in a shell's text a value is to stand: in quotes or out of them, in a here-document, in a comment.

The text is read as POSIX has it (XCU 2.2 to 2.7). A value itself is never in it: what stands in its place is the
shell's own `$prun_1`, and the shell does not read again what that stands for. So a place that is misjudged here may
split a value into words; it cannot make one run.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from functools import lru_cache

from pipeline_runner.classes import dataclass

HOLE = "\0"  # stands for a value: no shell's text has this character


class Place(Enum):
    """How a value is written down where it stands."""

    WORDS = auto()  # outside quotes: a word, or several words for a list
    WORD = auto()  # outside quotes, where there can be only one: NAME=… and > …
    DOUBLE = auto()  # within "…"
    SINGLE = auto()  # within '…'
    HERE = auto()  # in a here-document
    COMMENT = auto()


@dataclass(frozen=True)
class Unsafe:
    """A place at which no value can stand safely."""

    why: str
    cure: str


ARITHMETIC = Unsafe(
    "the shell would calculate with it, and some shells run what they find in it",
    "calculate in the reference: ${item + 1}",
)
BACKSLASH = Unsafe("a backslash stands before it", "write $${ for a literal ${, and \\\\ for a backslash")
BACKTICKS = Unsafe("shells differ in how they read a backslash within `…`", "write $(…) in place of the backticks")
BRACES = Unsafe("it stands within a ${…} of the shell itself", "set a variable before: x=${item}")
BRACKETS = Unsafe("[[ … ]] is not a shell's own everywhere, and may run what it compares", "write [ … ]")
DELIMITER = Unsafe("the word that ends a here-document is taken as it is written", "write a word of your own")
DOLLAR_QUOTES = Unsafe("$'…' is not read alike by all shells", "write '…' or \"…\"")
QUOTED_HERE = Unsafe(
    "nothing is filled in in a here-document whose first word is quoted",
    "take the quotes off that word, or give the value to the command as an argument",
)
TOO_DEEP = Unsafe("brackets and quotes are within one another too deep", "put the command into a script of its own")
UNENDED = Unsafe("a quote or bracket before it is never closed", "close it; a lone quote is written \\' or \\\"")


def places(text: str) -> tuple[Place | Unsafe, ...]:
    """What each hole of a shell's text is, in their order."""
    return _read(text)[0]


def unclosed(text: str) -> str:
    """The quote or bracket that is never closed in a shell's text; "" where there is none, as far as can be told."""
    return _read(text)[1]


@lru_cache(maxsize=512)
def _read(text: str) -> tuple[tuple[Place | Unsafe, ...], str]:
    reader = _Reader(text)
    try:
        reader.code("")
    except RecursionError:
        return (TOO_DEEP,) * text.count(HOLE), ""
    return tuple(reader.found), reader.unclosed


_ASSIGNS = re.compile(r"[A-Za-z_]\w*=")
_COMMAND_NEXT = re.compile(r"(?:[;&|({!)\n]|(?<!\S)(?:then|do|else|elif|if|while|until|time))$")
_ENDS_WORD = frozenset(" \t\n;&|()<>")
_REDIRECTS = ("<", ">", ">&", "<&", ">|")
_HERE = re.compile(r"<<(?P<dash>-?)[ \t]*")
_ESCAPED_IN_BACKTICKS = frozenset('`\\$"')


@dataclass
class _HereDocument:
    end: str
    tabs: bool  # may stand before its lines
    quoted: bool


class _Reader:
    """Reads a text once from left to right; a method for each kind of stretch, which ends after what closes it."""

    def __init__(self, text: str, found: list[Place | Unsafe] | None = None) -> None:
        self.text = text
        self.at = 0
        self.found: list[Place | Unsafe] = [] if found is None else found
        self.unclosed = ""  # the innermost that is open at the end
        self._never: list[Unsafe] = []  # why no value can stand here, for as long as it is so
        self._backticks = 0  # that are open
        self._in_doubt = False  # how the rest of these backticks is read
        self._here: list[_HereDocument] = []  # whose lines are still to come
        self._judged = (-1, False)  # the word that was asked about last, and what was found

    # Stretches.

    def code(self, closer: str) -> None:
        """Commands, up to a ")" or "`" that closes them, or to the end."""
        begin = self.at
        first = len(self.found)
        opened: list[str] = []  # "(" and "case": the patterns of a case have a ")" without a "("
        word: int | None = None  # where the word at hand begins
        while self.at < len(self.text):
            char = self.text[self.at]
            if self.text.startswith("\\\n", self.at):
                self.at += 2
                continue
            if char in _ENDS_WORD:
                self._case(opened, begin, word)
                word = None
            elif word is None and char == "#":
                self._comment()
                continue
            elif word is None:
                word = self.at
                if self.text.startswith(("[[ ", "[[\t"), word):
                    self._brackets()
                    continue
            match char:
                case "`" if closer == "`":
                    self.at += 1
                    return
                case "(" if self.text.startswith("((", self.at):
                    self._arithmetic(2)
                case "(":
                    opened.append("(")
                    self.at += 1
                case ")" if opened:
                    if opened[-1] == "(":
                        opened.pop()
                    self.at += 1
                case ")" if closer == ")":
                    self.at += 1
                    return
                case "<" if (here := _HERE.match(self.text, self.at)) and not self.text.startswith("<<<", self.at):
                    self.at = here.end()
                    self._delimiter(tabs=bool(here["dash"]))
                case "<" if self.text.startswith("<<<", self.at):
                    self.at += 3
                case "\n":
                    self.at += 1
                    self._here_documents()
                case "'":
                    self._single()
                case _ if char == HOLE:
                    self._hole(Place.WORD if word is not None and self._only_one(word) else Place.WORDS)
                case _:
                    self._usual(char, in_double=False)
        if closer:
            self._unended(first, "$(" if closer == ")" else closer)

    def _double(self) -> None:
        first = len(self.found)
        self.at += 1
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == '"':
                self.at += 1
                return
            if char == HOLE:
                self._hole(Place.DOUBLE)
            else:
                self._usual(char, in_double=True)
        self._unended(first, '"')

    def _single(self) -> None:
        end = self.text.find("'", self.at + 1)
        inside = self.text[self.at : end if end >= 0 else None]
        first = len(self.found)
        for _ in range(inside.count(HOLE)):
            self._hole(Place.SINGLE)
        if end < 0:
            self._unended(first, "'")
        self.at = end + 1 if end >= 0 else len(self.text)

    def _usual(self, char: str, *, in_double: bool) -> None:
        """What means the same within double quotes and without."""
        text, at = self.text, self.at
        if char == "\\":
            self._backslash()
        elif char == "`":
            self._in_backticks()
        elif char == '"':
            self._double()
        elif char != "$":
            self.at += 1
        elif text.startswith("$((", at):
            self._arithmetic(3)
        elif text.startswith("$(", at):
            self.at += 2
            self.code(")")
        elif text.startswith("${", at):
            self._braces(in_double=in_double)
        elif text.startswith("$'", at) and not in_double:
            self._dollar_quotes()
        else:
            self.at += 1

    def _backslash(self) -> None:
        escaped = self.text[self.at + 1 : self.at + 2]
        if self._backticks and escaped in _ESCAPED_IN_BACKTICKS:
            self._in_doubt = True
        if escaped == HOLE:
            self.found.append(BACKSLASH)
        self.at += 2

    def _in_backticks(self) -> None:
        outside, self._in_doubt = self._in_doubt, False
        self._backticks += 1
        self.at += 1
        self.code("`")
        self._backticks -= 1
        self._in_doubt = outside

    def _braces(self, *, in_double: bool) -> None:
        self._never.append(BRACES)
        first = len(self.found)
        self.at += 2
        self._until("}", first, quotes=not in_double)
        self._never.pop()

    def _arithmetic(self, opening: int) -> None:
        """`$((…))` and `((…))`: brackets within are counted."""
        self._never.append(ARITHMETIC)
        first = len(self.found)
        self.at += opening
        self._until("))", first)
        self._never.pop()

    def _until(self, closer: str, first: int, *, quotes: bool = False) -> None:
        """What no value can stand in, up to what closes it."""
        depth = 0
        while self.at < len(self.text):
            char = self.text[self.at]
            if not depth and self.text.startswith(closer, self.at):
                self.at += len(closer)
                return
            if char == HOLE:
                self._hole(Place.DOUBLE)
            elif char == "'" and quotes:
                self._single()
            else:
                depth += (char == "(") - (char == ")") if closer == "))" else 0
                self._usual(char, in_double=True)
        self._unended(first, "${" if closer == "}" else "((")

    def _dollar_quotes(self) -> None:
        first = len(self.found)
        self.at += 2
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == HOLE:
                self.found.append(DOLLAR_QUOTES)
            self.at += 2 if char == "\\" else 1
            if char == "'":
                return
        self._unended(first, "$'")

    def _brackets(self) -> None:
        end = self.text.find("]]", self.at)
        inside = self.text[self.at : end if end >= 0 else None]
        self.found += [BRACKETS] * inside.count(HOLE)
        self.at += len(inside)

    def _comment(self) -> None:
        end = self.text.find("\n", self.at)
        inside = self.text[self.at : end if end >= 0 else None]
        self.found += [Place.COMMENT] * inside.count(HOLE)
        self.at += len(inside)

    # Here-documents.

    def _delimiter(self, *, tabs: bool) -> None:
        begin = self.at
        while self.at < len(self.text) and self.text[self.at] not in _ENDS_WORD:
            at, char = self.at, self.text[self.at]
            closing = self.text.find(char, at + 1) if char in "'\"" else -1
            self.at = closing + 1 if closing > 0 else at + (2 if char == "\\" else 1)
            self.found += [DELIMITER] * self.text.count(HOLE, at, self.at)  # in its quotes too
        written = self.text[begin : self.at]
        bare = re.sub(r"\\(.)|['\"]", r"\1", written)
        self._here.append(_HereDocument(bare, tabs, quoted=bare != written))

    def _here_documents(self) -> None:
        """The lines that follow, as long as they are a here-document's."""
        waiting, self._here = self._here, []
        for document in waiting:
            begin = self.at
            stop = len(self.text)
            while self.at < len(self.text):
                end = self.text.find("\n", self.at)
                end = len(self.text) if end < 0 else end
                line = self.text[self.at : end]
                if (line.lstrip("\t") if document.tabs else line) == document.end:
                    stop = self.at
                    self.at = end + 1
                    break
                self.at = end + 1
            self._body(self.text[begin:stop], document)

    def _body(self, body: str, document: _HereDocument) -> None:
        if document.quoted:
            self.found += [QUOTED_HERE] * body.count(HOLE)
            return
        inner = _Reader(body, self.found)
        inner._never, inner._backticks, inner._in_doubt = list(self._never), self._backticks, self._in_doubt
        while inner.at < len(body):
            char = body[inner.at]
            if char == HOLE:
                inner._hole(Place.HERE)
            elif char in "\"'":
                inner.at += 1
            else:
                inner._usual(char, in_double=True)

    # What is found.

    def _hole(self, place: Place) -> None:
        self.found.append(self._never[0] if self._never else BACKTICKS if self._in_doubt else place)
        self.at += 1

    def _unended(self, first: int, opening: str) -> None:
        """Nobody can tell what the holes since then are."""
        self.unclosed = self.unclosed or opening
        self.found[first:] = [UNENDED] * (len(self.found) - first)

    def _only_one(self, word: int) -> bool:
        """Whether the word that begins here cannot become several."""
        if self._judged[0] != word:  # a word may have a thousand holes
            end = self._without_blanks(word)
            redirected = self.text[max(0, end - 2) : end].endswith(_REDIRECTS)
            self._judged = word, redirected or _ASSIGNS.match(self.text, word) is not None
        return self._judged[1]

    def _case(self, opened: list[str], begin: int, word: int | None) -> None:
        """A `case` or its `esac`, where the word that ends here is one."""
        said = "" if word is None else self.text[word : self.at]
        if word is None or said not in ("case", "esac"):
            return
        end = self._without_blanks(word)
        if end > begin and not _COMMAND_NEXT.search(self.text[max(begin, end - 6) : end]):
            return
        if said == "case":
            opened.append("case")
        elif opened and opened[-1] == "case":
            opened.pop()

    def _without_blanks(self, at: int) -> int:
        """Where what stands before this place ends."""
        while at and self.text[at - 1] in " \t":
            at -= 1
        return at
