"""`multiprocess.Pool`: the same pool from the multiprocess package, which pickles with dill."""

from __future__ import annotations

from pipeline_runner.backends import _pool
from pipeline_runner.methods import Backend

BACKEND = Backend(
    name="multiprocess.Pool",
    keyword="multiprocess",
    methods=_pool.rows("multiprocess", "dill", ["multiprocess.pool.Pool", "pathos.multiprocessing.Pool"]),
    open=_pool.opener("multiprocess"),
    close=_pool.close,
    kill=_pool.kill,
    processes=_pool.processes,
    raw=lambda workers: _pool.raw("multiprocess", workers),
    library="multiprocess",
    rank=40,
)
