"""Reads the command line of a plain run without typer, which takes as long to import as the run to begin.

What it cannot read surely (help, a mistake, anything unusual) is None: then typer reads it, and says what there is to
say. What it reads means what typer reads; a test holds this table to the declared options, and both to the same words.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline_runner.typed import Any

FLAGS = {
    "-k": "keep_going",
    "--keep-going": "keep_going",
    "-n": "dry_run",
    "--dry-run": "dry_run",
    "-q": "quiet",
    "--quiet": "quiet",
    "-v": "verbose",
    "--verbose": "verbose",
    "--force": "force",
    "--no-cache": "no_cache",
    "--json": "as_json",
}
VALUES = {
    name: name.strip("-") for name in ("--params", "--profile", "--state", "--resume", "--chaos", "--report")
}  # the last one counts
NUMBERS = {"-j": "workers", "--workers": "workers", "--sample": "sample"}  # from 1
LISTS = {"-p": "given", "--until": "until", "--from": "since", "--only": "only", "--show": "show"}


def plain_run(words: Sequence[str]) -> dict[str, Any] | None:
    """The arguments of `prun run` that these words after it mean; None: typer has to read them."""
    found: dict[str, Any] = {}
    places: list[str] = []
    rest = list(reversed(words))
    while rest:
        word = rest.pop()
        if not word or word == "--":
            return None
        if word == "-" or not word.startswith("-"):
            places.append(word)
            continue
        name, value = _parted(word)
        if value is None and name not in FLAGS:
            if not rest:
                return None
            value = rest.pop()
        if not _taken(found, name, value):
            return None
    if places:
        found["file"], *stages = places
        found["stages"] = stages
    return found


def _parted(word: str) -> tuple[str, str | None]:
    """`--state=DIR`, `-j4`: a name and the value that is written with it."""
    if word.startswith("--"):
        name, equals, value = word.partition("=")
        return name, value if equals else None
    return word[:2], word[2:] or None


def _taken(found: dict[str, Any], name: str, value: str | None) -> bool:
    """Put it among what was found. False: it is not of this table, or not in order."""
    if value is None:
        found[FLAGS[name]] = True
    elif name in VALUES:
        found[VALUES[name]] = value
    elif name in LISTS:
        found.setdefault(LISTS[name], []).append(value)
    elif name in NUMBERS and value.isascii() and value.isdigit() and len(value) < 10 and int(value) > 0:
        found[NUMBERS[name]] = int(value)
    else:
        return False
    return True
