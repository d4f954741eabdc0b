"""Which page is at which address. Each is made of the journal as it is at that moment, and of nothing else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from pipeline_runner.errors import PipelineError, UsageError
from pipeline_runner.pages import page
from pipeline_runner.pages.account import account
from pipeline_runner.record.glance import Glance, NothingYet
from pipeline_runner.record.history import History, UnknownCall
from pipeline_runner.reporters.summary import Next
from pipeline_runner.web.guard import Guard
from pipeline_runner.web.kept import Kept, Page
from pipeline_runner.web.listed import Listed

T = TypeVar("T")
Following = Callable[[str, Mapping[str, Any], Path], Next]

RUNS = 200  # in the list, unless more are asked for
LINES = 1000  # of what calls printed
ITEM = 10**18  # numbers of calls are smaller


def application(folder: Path, following: Following, token: str, port: int) -> ASGIApp:
    """The pages about a state folder. `following` tells what to type next about a run."""
    pages = _Pages(Glance(folder), following)
    routes = [
        Route("/", pages.runs),
        Route("/runs/{run}/", pages.run),
        Route("/runs/{run}/output/", pages.output),
    ]
    told: Mapping[Any, Any] = {HTTPException: _nowhere, PipelineError: _refused, Exception: _our_bug}
    return Guard(Starlette(routes=routes, exception_handlers=told), token, port)


class _Pages:
    # Functions that are not `async`: Starlette calls each in a thread, so that one page does not wait for another's.

    def __init__(self, glance: Glance, following: Following) -> None:
        self._glance = glance
        self._following = following
        self._kept = Kept(glance)
        self._listed = Listed()

    def runs(self, request: Request) -> Response:
        most = _number(request, "most", RUNS)
        return self._answer(request, f"runs {most}", lambda: self._runs(most))

    def run(self, request: Request) -> Response:
        word = request.path_params["run"]
        return self._answer(request, f"run {word}", lambda: self._run(word))

    def output(self, request: Request) -> Response:
        word = request.path_params["run"]
        stage = request.query_params.get("stage")
        item = _number(request, "item", None)
        return self._answer(request, f"output {(word, stage, item)}", lambda: self._output(word, stage, item))

    def _answer(self, request: Request, name: str, make: Callable[[], Page]) -> Response:
        found = self._kept.page(name, make)
        if request.headers.get("if-none-match") == found.tag:
            return _response(b"", 304, found.tag)
        return _response(found.body, 200, found.tag)

    def _runs(self, most: int) -> Page:
        try:
            runs = self._glance.look(lambda history: self._listed.of(history, most + 1))
        except NothingYet:
            runs = []
        told = [(one, self._following(one.run, one.about, self._glance.folder)) for one in runs[:most]]
        more = most * 10 if len(runs) > most else 0
        moves = any(one.status is None for one in runs)
        return Page(_bytes(page.runs(told, str(self._glance.folder), more)), moves)

    def _run(self, word: str) -> Page:
        def tell(history: History) -> Page:
            name = history.find(word)
            found = account(history, name, self._following(name, history.told(name).about, self._glance.folder))
            return Page(_bytes(page.report(found, live=True)), found.told.status is None)

        return self._glance.look(tell)

    def _output(self, word: str, stage: str | None, item: int | None) -> Page:
        def tell(history: History) -> Page:
            name = history.find(word)
            told, stages = history.told(name), history.state(name).stages
            if stage is not None and not any(f"{one}.".startswith(f"{stage}.") for one in stages):
                raise UnknownCall(name, stage, list(stages))
            lines = history.last_lines(name, stage, item, LINES + 1)
            text = page.output(told, stages, stage, item, lines[-LINES:], more=len(lines) > LINES)
            return Page(_bytes(text), told.status is None)

        return self._glance.look(tell)


def _number(request: Request, name: str, default: T) -> int | T:
    """Errors: UsageError."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and int(text[:20]) < ITEM):
        raise UsageError(f'"{name}" cannot be "{text[:40]}": it is a number')
    return int(text)


def _nowhere(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    return _trouble("there is no such page", status)


def _refused(request: Request, error: Exception) -> Response:
    return _trouble(str(error), 404 if isinstance(error, UsageError) else 503)


def _our_bug(request: Request, error: Exception) -> Response:
    text = f"{type(error).__name__}: {error}\n  this is a bug in prun"
    print(f"prun ui: {text}", file=sys.stderr, flush=True)
    return _trouble(text, 500)


def _trouble(text: str, status: int) -> Response:
    return _response(_bytes(page.trouble(text)), status, None)


def _response(body: bytes, status: int, tag: str | None) -> Response:
    headers = {"Content-Security-Policy": page.live_rules(), **({} if tag is None else {"ETag": tag})}
    return Response(body, status, headers, "text/html")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
