"""Which paths a pattern finds: `data/*.csv`, `data/**/*.csv`."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path

has_magic = glob.has_magic


def matching(pattern: str, folder: Path) -> list[str]:
    """The paths that a pattern finds, each once, sorted; relative ones stay relative to the folder, as the pattern is.

    `**` is any folders below, hidden ones left out, and follows no link to a folder: links in a circle would give each
    file again and again, or never end. It is so in bash and in pathlib, and not in `glob.glob`.
    """
    if "\0" in pattern:  # no path has it, and the system would not be asked
        return []
    return sorted({path for path in _found(pattern.split("/"), folder) if path})


def _found(parts: list[str], folder: Path) -> Iterator[str]:
    if "**" not in parts:
        yield from glob.glob("/".join(parts), root_dir=folder)
        return
    at = parts.index("**")
    rest = parts[at + 1 :]
    while rest[:1] == ["**"]:  # `**/**` finds what `**` does
        del rest[0]
    before = "".join(f"{part}/" for part in parts[:at])
    for start in glob.glob(before, root_dir=folder) if before else [""]:
        for below, names in _below(start, folder):
            if rest == [""]:
                yield below
            elif rest:
                yield from (below + name for name in _found(rest, folder / below))
            else:
                yield from (below + name for name in names)
        if not rest and os.path.isdir(folder / start):
            yield start


def _below(start: str, folder: Path) -> Iterator[tuple[str, list[str]]]:
    """A folder and those in it: each with "/" at its end, and the names in it."""
    waiting = [start]
    while waiting:
        below = waiting.pop()
        try:
            with os.scandir(folder / below) as found:
                entries = [entry for entry in found if not entry.name.startswith(".")]
        except OSError:  # no folder, or not ours to read
            continue
        yield below, [entry.name for entry in entries]
        waiting += [f"{below}{entry.name}/" for entry in entries if entry.is_dir(follow_symlinks=False)]
