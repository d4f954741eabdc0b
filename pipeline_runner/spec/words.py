"""The words of the language that are no keys: names of libraries, and what a stage may be called."""

from __future__ import annotations

from pipeline_runner.backends import table

LATER_BACKENDS = ("dask", "ray", "mpi")  # known words; each needs an extra that this version does not have
STAGE_NAME = "^[A-Za-z_\u0080-\uffff][A-Za-z0-9_\u0080-\uffff-]*$"  # not \\w, which editors take for ASCII


def backend_words() -> tuple[str, ...]:
    """What `backend` may say, with the words whose extra is still to come."""
    return tuple(dict.fromkeys((*table().keywords, *LATER_BACKENDS)))
