"""Draws docs/run.svg from a real run: `python docs/picture.py`. What the terminal shows at the end is what is drawn."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
COMMAND = ("prun", "examples/word_census/pipeline.yaml")
COLUMNS = 100
CONTROL = re.compile(r"\x1b\[(?P<number>\d*)(?P<letter>[AK])|\x1b\[\?\d+[hl]|(?P<end>[\r\n])")


def main() -> None:
    screen = last_screen(terminal_output())
    # record=True remembers what is printed; it is printed to nowhere.
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True, color_system="truecolor")
        console.print(Text(f"$ {' '.join(COMMAND)}", style="bold"))
        console.print(Text.from_ansi(screen))
        # Without the web fonts: a picture in a README should fetch nothing.
        plain = re.sub(r"@font-face \{\{.*?\}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
        svg = console.export_svg(title="pipeline_runner", unique_id="run", code_format=plain)
    # rich asks for a font by name; any monospaced one will do.
    (ROOT / "docs" / "run.svg").write_text(re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE), "utf-8")


def terminal_output() -> str:
    """All that the command writes when it runs in a terminal of its own."""
    ours, theirs = pty.openpty()
    environment = {"COLUMNS": str(COLUMNS), "LINES": "60", "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    command = subprocess.Popen(
        [sys.executable, "-m", "pipeline_runner", *COMMAND[1:]],
        cwd=ROOT,
        env=os.environ | environment | {"PYTHONPATH": str(ROOT)},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    written = bytearray()
    # When the last process lets go of the terminal, Linux answers with EIO, macOS with nothing.
    with suppress(OSError):
        while data := os.read(ours, 65536):
            written += data
    os.close(ours)
    if command.wait():
        raise SystemExit(written.decode("utf-8"))
    return written.decode("utf-8")


def last_screen(output: str) -> str:
    """What is left to see: repainted lines once, as they were at the end."""
    lines = [""]
    row, at, fresh = 0, 0, True  # fresh: the cursor stands at the line's beginning, so that text replaces it
    for control in CONTROL.finditer(output):
        text = output[at : control.start()]
        if text:
            lines[row] = text if fresh else lines[row] + text
            fresh = False
        at = control.end()
        match control["end"] or control["letter"]:
            case "\n":
                row, fresh = row + 1, True
                lines += [""] * (row + 1 - len(lines))
            case "\r":
                fresh = True
            case "A":
                row = max(0, row - int(control["number"] or 1))
            case "K":
                lines[row] = ""
    return "\n".join(lines).strip("\n")


if __name__ == "__main__":
    main()
