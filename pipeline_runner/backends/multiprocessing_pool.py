"""`multiprocessing.Pool`: the standard library's pool, with eight ways to ask it."""

from __future__ import annotations

from pipeline_runner.backends import _pool
from pipeline_runner.methods import Backend

BACKEND = Backend(
    name="multiprocessing.Pool",
    keyword="multiprocessing",
    methods=_pool.rows("multiprocessing", "pickle", ["Pool", "multiprocessing.pool.Pool"]),
    open=_pool.opener("multiprocessing"),
    close=_pool.close,
    kill=_pool.kill,
    processes=_pool.processes,
    raw=lambda workers: _pool.raw("multiprocessing", workers),
    library="multiprocessing",
    rank=10,
)
