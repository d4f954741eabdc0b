"""The words of the language that are no keys: names of libraries, and what a stage may be called."""

from __future__ import annotations

from pipeline_runner.backends import table

CLUSTERS = ("dask", "ray", "mpi")  # backends whose workers may be on other hosts: each has a key of its own
STAGE_NAME = "^[A-Za-z_\u0080-\uffff][A-Za-z0-9_\u0080-\uffff-]*$"  # not \\w, which editors take for ASCII


def backend_words() -> tuple[str, ...]:
    """What `backend` may say."""
    return table().keywords
