"""What users' code and data say, made fit for a terminal: it may not move the cursor or set a title."""

from __future__ import annotations

import re

COLOUR = r"\x1b\[[0-9;:]*m"
_SEQUENCE = (
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # a title, a link
    r"|\x1b\[[0-?]*[ -/]*[@-~]"  # a move, a colour, a clearing
    r"|\x1b[ -/]*[0-Z\\^-~]"  # a charset, a reset
)
# Controls but tab and newline; halves of characters, which cannot be written; what turns the direction of text.
_STRANGE = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]"


def plain(text: str) -> str:
    """The text without terminal sequences; any other control character as its escape."""
    if text.isprintable():
        return text
    return re.sub(_STRANGE, _escaped, re.sub(_SEQUENCE, "", text))


def line_of(line: str) -> str:
    """A captured line as a terminal would leave it: in its colours, and of a progress bar the last state only."""
    if line.isprintable():
        return line
    _, _, last = line.rstrip("\r").rpartition("\r")
    at = 0
    told: list[str] = []
    for colour in re.finditer(COLOUR, last):
        told += [plain(last[at : colour.start()]), colour[0]]
        at = colour.end()
    return "".join([*told, plain(last[at:])])


def _escaped(strange: re.Match[str]) -> str:
    return strange[0].encode("unicode_escape").decode("ascii")
