"""The folder and environment in which calls run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline_runner.worker.job import Job

_entered: tuple[str, tuple[tuple[str, str], ...]] | None = None


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
    before = {name: os.environ.get(name) for name, _ in job.env}
    os.environ.update(job.env)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
