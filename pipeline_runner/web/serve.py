"""Serves an application on loopback until a signal ends it."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from pipeline_runner.errors import UsageError

LOOPBACK = "127.0.0.1"
AT_ONCE = 200  # requests; more are refused
GRACE_S = 1  # for answers that are under way when it is told to end


def bound(port: int | None) -> socket.socket:
    """A socket on loopback, heard by nobody else than this machine. Errors: UsageError where the port cannot be had."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that was ours a moment ago is free
        listening.bind((LOOPBACK, port or 0))
        listening.listen()
    except OSError as error:
        listening.close()
        why = "something listens there already" if error.errno == errno.EADDRINUSE else os.strerror(error.errno or 0)
        raise UsageError(f"port {port} cannot be had: {why}\n  without --port a free one is taken") from error
    return listening


class Ending:
    """Hears that the command is to end: once in good order, twice at once."""

    def __init__(self, server: uvicorn.Server) -> None:
        self._server = server
        self.code = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.code:
            raise SystemExit(self.code)
        self.code = 128 + number
        self._server.should_exit = True


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are ours: uvicorn would raise them once more when it has ended, before anything is tidied up."""
        yield


def server_of(app: ASGIApp) -> uvicorn.Server:
    return _Server(
        uvicorn.Config(
            app,
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            proxy_headers=False,  # whoever asks, asks for themselves
            server_header=False,
            limit_concurrency=AT_ONCE,
            timeout_graceful_shutdown=GRACE_S,
        )
    )


def serve(server: uvicorn.Server, listening: socket.socket, ending: Ending) -> int:
    """Serve until it is told to end. The exit code that says which signal did."""
    asyncio.run(server.serve([listening]))
    return ending.code


def answer_signals(ending: Ending) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # `nohup … &` ignores some, and that is respected
            signal.signal(number, ending)
