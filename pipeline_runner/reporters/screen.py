"""Where people read what is said about a run: a terminal with colours, or plain lines for a file or a pipe.

Rich is for terminals, and only there it is imported: that takes as long as a small run.
"""

from __future__ import annotations

import os
import re
import sys

from pipeline_runner.reporters.plain import COLOUR
from pipeline_runner.typed import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from rich.console import Console

_ASKED = ("FORCE_COLOR", "TTY_COMPATIBLE")  # by which people tell rich that what it writes to is a terminal


class Screen(Protocol):
    """Something that lines can be said on."""

    @property
    def terminal(self) -> bool: ...

    def say(self, text: str, style: str = "") -> None:
        """Show a text as it is."""

    def quote(self, text: str, style: str = "") -> None:
        """Show a line that has colours of its own."""


class Lines:
    """Plain lines, on stderr if nothing else is said."""

    terminal = False

    def __init__(self, file: TextIO | None = None) -> None:
        self._file = file

    def say(self, text: str, style: str = "") -> None:
        print(text, file=self._file or sys.stderr, flush=True)

    def quote(self, text: str, style: str = "") -> None:
        self.say(text if text.isprintable() else re.sub(COLOUR, "", text))


class Colours:
    """A terminal on stderr."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console: Console = Console(stderr=True)

    @property
    def terminal(self) -> bool:
        return self.console.is_terminal

    def say(self, text: str, style: str = "") -> None:
        from rich.text import Text

        self.console.print(Text(text, style=style), soft_wrap=True)

    def quote(self, text: str, style: str = "") -> None:
        from rich.text import Text

        self.console.print(Text.from_ansi(text, style=style), soft_wrap=True)


def screen() -> Lines | Colours:
    """What stderr is."""
    asked = any(name in os.environ for name in _ASKED)
    return Colours() if asked or sys.stderr.isatty() else Lines()
