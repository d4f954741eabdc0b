"""`prun init`: a small project that runs as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline_runner.errors import UsageError

PIPELINE = """\
# yaml-language-server: $schema=pipeline.schema.json
version: 1
name: word-lengths
params: {words: [a, small, pipeline, to, begin, with]}

stages:
  measure:
    call: steps.py:measure          # the function `measure` in steps.py, beside this file
    over: ${params.words}           # one call for each item
  longest:
    call: steps.py:longest
    with: {lengths: "${stages.measure}"}   # no `over`: one call, which gets the whole list
"""

STEPS = '''\
"""The functions that pipeline.yaml calls: plain Python, with nothing of prun in it."""


def measure(word):
    """A word and its length."""
    return [word, len(word)]


def longest(lengths):
    """The longest word."""
    return max(lengths, key=lambda pair: pair[1])[0]
'''


def register(app: typer.Typer) -> None:
    app.command(name="init")(init)


def init(
    folder: Annotated[Path, typer.Argument(help="Where to write it; made if it is not there.")] = Path(),
) -> None:
    """Write a starter project: a pipeline, its functions, and the schema for your editor."""
    from pipeline_runner.spec.schema import text

    files = {"pipeline.yaml": PIPELINE, "steps.py": STEPS, "pipeline.schema.json": text()}
    there = [name for name in files if (folder / name).exists()]
    if there:
        raise UsageError(f'"{folder / there[0]}" is already there, and is left as it is; choose another folder')
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_text(content, encoding="utf-8")
    except OSError as error:
        raise UsageError(f'cannot write into "{folder}": {(error.strerror or str(error)).lower()}') from error
    typer.echo(f"wrote {', '.join(str(folder / name) for name in files)}\n  run it:  prun {folder / 'pipeline.yaml'}")
