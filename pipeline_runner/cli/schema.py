"""`prun schema`: the JSON Schema of a pipeline file, for editors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline_runner.errors import UsageError


def register(app: typer.Typer) -> None:
    app.command(name="schema")(schema)


def schema(
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write it to this file.")] = None,
) -> None:
    """Print the JSON Schema of a pipeline file."""
    from pipeline_runner.spec.schema import text

    if output is None:
        typer.echo(text(), nl=False)
        return
    try:
        output.write_text(text(), encoding="utf-8")
    except OSError as error:
        raise UsageError(f'cannot write "{output}": {(error.strerror or str(error)).lower()}') from error
