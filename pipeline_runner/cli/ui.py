"""`prun ui`: pages about the runs of a folder, in a browser, while they go on."""

from __future__ import annotations

import os
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from pipeline_runner.cli import onward, options
from pipeline_runner.errors import UsageError

EXTRA = ("starlette", "uvicorn")


def register(app: typer.Typer) -> None:
    app.command(name="ui")(ui)


def ui(
    folder: Annotated[
        str | None,
        typer.Argument(
            metavar="[FOLDER]", help="Where the pipeline is, or where its runs are kept.", show_default="here"
        ),
    ] = None,
    state: options.State = None,
    port: Annotated[
        int | None,
        typer.Option("--port", metavar="N", min=1, max=65535, help="Listen there.", show_default="a free one"),
    ] = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Start no browser; the address is printed.")] = False,
) -> None:
    """Show the runs that are kept as pages in a browser, which follow those that are at work.

    Only this machine can reach the pages, and only whoever has the address, which is another one each time. Nothing
    in the state folder is changed. Ctrl-C ends it.
    """
    where = _state_folder(folder, state)
    if lacking := [name for name in EXTRA if find_spec(name) is None]:
        raise UsageError(f"`prun ui` needs {' and '.join(lacking)}: pip install prun-pipelines[ui]")
    raise typer.Exit(_serve(where, port, open_it=not no_open))


def _state_folder(folder: str | None, state: str | None) -> Path:
    """Errors: UsageError."""
    if folder is None:
        return onward.state_here(state)
    if state is not None:
        raise UsageError("FOLDER and --state cannot go together; each says where the runs are")
    path = Path(os.path.abspath(folder))
    if not path.is_dir():
        raise UsageError(f'"{folder}" is no folder')
    return path if (path / "journal.db").exists() else path / ".prun"


def _serve(folder: Path, port: int | None, *, open_it: bool) -> int:
    from secrets import token_urlsafe

    from pipeline_runner.web import browser, serve
    from pipeline_runner.web.app import application

    token = token_urlsafe(24)
    with serve.bound(port) as listening:
        taken = listening.getsockname()[1]
        server = serve.server_of(application(folder, onward.following, token, taken))
        ending = serve.Ending(server)
        serve.answer_signals(ending)
        address = f"http://{serve.LOOPBACK}:{taken}/{token}/"
        typer.echo(f"the runs in {folder}; Ctrl-C ends it", err=True)
        typer.echo(address)
        with browser.shown(address) if open_it and browser.can_show() else nullcontext():
            return serve.serve(server, listening, ending)
