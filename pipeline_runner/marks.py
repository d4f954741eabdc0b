"""Places in a file: every node, problem and error of a pipeline knows the one it came from."""

from __future__ import annotations

from pipeline_runner.classes import dataclass


@dataclass(frozen=True, slots=True)
class Mark:
    """A stretch of one line of a file, with that line's text so that it can be shown."""

    file: str
    line: int  # from 1
    column: int  # from 1, in characters
    width: int = 1  # characters, at least 1
    text: str = ""  # the whole line, without its end

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def snippet(self) -> str:
        """The line with its number and a caret under the stretch; empty when the text is unknown.

        Long lines are cut around the stretch: a mark in a one-line JSON file of a megabyte
        still shows a line that fits a terminal.
        """
        if not self.text:
            return ""
        start = self.column - 1
        cut = max(0, start - 60) if len(self.text) > 160 else 0
        shown = self.text[cut : cut + 160]
        # Tabs stay tabs in the caret line, so that it lines up however wide they are shown.
        pad = "".join("\t" if c == "\t" else " " for c in shown[: start - cut])
        carets = "^" * max(1, min(self.width, len(shown) - (start - cut)))
        return f"{self.line:>4} | {shown}\n     | {pad}{carets}"
