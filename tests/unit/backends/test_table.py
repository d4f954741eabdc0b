"""The table as it is found: every surveyed row, every name, nothing loaded that is not asked for."""

import subprocess
import sys

import pytest

from pipeline_runner.axes import Dispatch, Returns
from pipeline_runner.backends import table

SURVEYED = {
    "multiprocessing.Process": "",
    "multiprocessing.Pool": "apply apply_async map map_async imap imap_unordered starmap starmap_async",
    "multiprocess.Pool": "apply apply_async map map_async imap imap_unordered starmap starmap_async",
    "concurrent.futures.ProcessPoolExecutor": "submit map",
    "pathos.ProcessPool": "pipe apipe map imap uimap amap",
    "pathos.ParallelPool": "pipe apipe map imap uimap amap",
    "ppft.Server": "submit",
}


def test_every_surveyed_method_is_there():
    names = {f"{owner}.{name}" for owner, methods in SURVEYED.items() for name in methods.split()}

    assert names | {"multiprocessing.Process"} == {row.name for row in table() if row.surveyed}


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("pathos.multiprocessing.Pool.imap", "multiprocess.Pool.imap"),
        ("pathos.multiprocessing.ProcessingPool.uimap", "pathos.ProcessPool.uimap"),
        ("pathos.pools.ProcessPool.map", "pathos.ProcessPool.map"),
        ("pathos.pp.ParallelPythonPool.pipe", "pathos.ParallelPool.pipe"),
        ("pathos.parallel.ParallelPool.apipe", "pathos.ParallelPool.apipe"),
        ("pathos.parallel.ParallelPythonPool.amap", "pathos.ParallelPool.amap"),
        ("pathos.pools.ParallelPool.uimap", "pathos.ParallelPool.uimap"),
        ("pp.Server.submit", "ppft.Server.submit"),
        ("pathos.pp.pp.Server.submit", "ppft.Server.submit"),
        ("pathos.serial.SerialPool.map", "pathos.SerialPool.map"),
        # as its tables call them in short
        ("Process", "multiprocessing.Process"),
        ("Pool.apply", "multiprocessing.Pool.apply"),
        ("Pool.imap_unordered", "multiprocessing.Pool.imap_unordered"),
        ("Executor.map", "concurrent.futures.ProcessPoolExecutor.map"),
        ("ProcessPoolExecutor.submit", "concurrent.futures.ProcessPoolExecutor.submit"),
        ("ProcessPool.uimap", "pathos.ProcessPool.uimap"),
        ("ParallelPool.apipe", "pathos.ParallelPool.apipe"),
        ("SerialPool.imap", "pathos.SerialPool.imap"),
    ],
)
def test_an_alias_of_the_survey_finds_its_row(alias, name):
    assert table().find(alias).name == name


def test_the_keywords_are_those_of_the_language():
    assert set(table().keywords) == {
        "serial", "threads", "process", "multiprocessing", "multiprocess", "futures", "pathos", "parallel", "ppft",
        "dask", "ray", "mpi",
    }  # fmt: skip


def test_where_the_article_is_out_of_date_the_row_says_so():
    row = table().methods["pathos.ParallelPool.map"]

    assert (row.dispatch, row.surveyed.dispatch) == (Dispatch.ASYNC, Dispatch.BLOCKING)
    assert "0.2.6" in row.note


def test_a_blocking_call_is_never_parallel_and_an_unordered_row_never_ordered():
    for row in table():
        assert (row.dispatch is Dispatch.BLOCKING) == (not row.parallel)
        assert not (row.returns is Returns.UNORDERED and row.ordered)


@pytest.mark.timeout(20)
def test_reading_the_table_loads_no_library_of_pools():
    loaded = subprocess.run(
        [
            sys.executable,
            "-c",
            (
                "import sys; from pipeline_runner.backends import table; table();"
                "print(sorted({'pathos', 'ppft', 'multiprocess', 'dill', 'multiprocessing.pool', 'dask', 'distributed', 'ray', 'mpi4py'} & set(sys.modules)))"
            ),
        ],
        capture_output=True,
        text=True,
        check=True,
    )

    assert loaded.stdout == "[]\n"
