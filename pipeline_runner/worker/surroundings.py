"""The folder and environment in which calls run."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline_runner.worker.job import Job

Env = tuple[tuple[str, str], ...]

_entered: tuple[str, Env] | None = None


@contextmanager
def enter(job: Job, process: bool) -> Iterator[None]:
    """Be in the pipeline's folder, with the stage's environment.

    A worker process goes there once and stays: its pool serves no stage with other settings. In
    the runner's own process (serial, threads) the environment is put back; the folder is the
    runner's to choose, since threads share it.
    """
    global _entered
    if process:
        if _entered != (job.folder, job.env):
            os.chdir(job.folder)
            os.environ.update(job.env)
            _entered = (job.folder, job.env)
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
