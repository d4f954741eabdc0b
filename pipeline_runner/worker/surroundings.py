"""The folder, environment, signal handlers and file mask in which calls run: each call finds them as the first did.

Python code changes them through few functions, and those note it here: a call that changes nothing
costs nothing. What compiled code changes is put back after every call that is not very short, and at
the end of a chunk.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module

from pipeline_runner.typed import Any
from pipeline_runner.worker.job import Job

SHORT_S = 50e-6  # calls shorter than this are not looked at when nothing was noted: looking takes about 1 µs

touched = False
"""Whether a call has done something through Python's own functions that the next one would find."""

Env = tuple[tuple[str, str], ...]

_entered: tuple[str, Env] | None = None
_doors: dict[str, Callable[..., Any]] = {}  # the real functions, by name
_home = -1  # descriptor of the folder that calls begin in
_mask = 0
_variables: dict[str, str] = {}
_handlers: dict[int, Any] = {}  # signals whose handler was changed, and what it was
_environ = os.environ
_signal: Any = import_module("_signal")  # where `signal.signal` finds the real one at each call


@contextmanager
def enter(job: Job, process: bool) -> Iterator[None]:
    """Be in the pipeline's folder, or the stage's own, with the stage's environment.

    A worker process goes there once and stays: its pool serves no stage with other settings. In
    the runner's own process (serial, threads) the environment is put back; the folder is the
    runner's to choose, since threads share it.
    """
    global _entered
    if process:
        where = job.workdir or job.folder
        if _entered != (where, job.env):
            os.chdir(where)
            os.environ.update(job.env)
            _entered = (where, job.env)
        yield
        return
    _put_on(job.env)
    try:
        yield
    finally:
        _take_off(job.env)


# Threads share one environment: what a stage puts into it stays until its last call of that moment has ended.

_lock = threading.Lock()
_layers: list[Env] = []  # of the calls at work now, the newest last
_below: dict[str, str | None] = {}  # what was there before any of them


def _put_on(env: Env) -> None:
    with _lock:
        for name, _ in env:
            _below.setdefault(name, os.environ.get(name))
        _layers.append(env)
        os.environ.update(env)


def _take_off(env: Env) -> None:
    with _lock:
        _layers.remove(env)
        for name, _ in env:
            others = [value for layer in _layers for other, value in layer if other == name]
            value = others[-1] if others else _below.pop(name)
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def keep() -> None:
    """From now on every call begins as it is now: after the stage's imports and its setup."""
    global _home, _mask, _variables, touched
    _watch_doors()
    if _home >= 0:
        os.close(_home)
        _home = -1
    with suppress(OSError):  # a folder that may be entered and not read
        _home = os.open(".", os.O_RDONLY)
    _mask = _doors["umask"](0o077)
    _doors["umask"](_mask)
    _variables = dict(_environ)
    _handlers.clear()
    touched = False


def put_back(took_s: float) -> None:
    """After a call: undo what it changed."""
    global touched
    if not touched and took_s < SHORT_S:
        return
    if _home >= 0:
        _doors["fchdir"](_home)
    _doors["umask"](_mask)
    if os.environ is not _environ:
        os.environ = _environ  # noqa: B003 - the very object is put back
    if not touched:
        return
    for number, handler in _handlers.items():
        with suppress(OSError, ValueError, TypeError):  # None: it was not set from Python
            _doors["signal"](number, handler)
    _handlers.clear()
    for name in _environ.keys() - _variables.keys():
        del _environ[name]
    for name, value in _variables.items():
        if _environ.get(name) != value:
            _environ[name] = value
    touched = False


def _watch_doors() -> None:
    """Have the functions that change a process's surroundings note that they were called."""
    if _doors:
        return
    for name in ("chdir", "fchdir", "umask", "putenv", "unsetenv"):
        _doors[name] = getattr(os, name)
        noting = _noting(_doors[name])
        setattr(os, name, noting)
        if _doors[name] in os.supports_fd:
            os.supports_fd.add(noting)
    _doors["signal"] = _signal.signal
    _signal.signal = _noting_handler


def _noting(real: Callable[..., Any]) -> Callable[..., Any]:
    def noting(*arguments: Any, **keywords: Any) -> Any:
        global touched
        touched = True
        return real(*arguments, **keywords)

    noting.__name__ = noting.__qualname__ = real.__name__
    noting.__doc__ = real.__doc__
    return noting


def _noting_handler(number: int, handler: Any, /) -> Any:
    global touched
    before = _doors["signal"](number, handler)
    touched = True
    _handlers.setdefault(int(number), before)
    return before
