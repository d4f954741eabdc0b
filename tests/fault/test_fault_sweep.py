"""A smaller sweep for every day: each fault on methods that differ most, and the worst faults on each method.

The whole one is `python tests/fault/sweep.py`, or `pytest -m whole_sweep`.
"""

import fault_table
import fault_warden
import pytest
import sweep
from fault_table import FAULTS, TREES
from fault_warden import FAILED, HUNG

from pipeline_runner.backends import table

MOST_DIFFERENT = (
    "multiprocessing.Pool.imap_unordered",  # lazy, a receipt a chunk
    "concurrent.futures.ProcessPoolExecutor.map",  # eager, broken by a death
    "pathos.ParallelPool.amap",  # ppft: processes of its own kind, eager
)
WORST = ("SIGKILL", "exception of two arguments")

# Here other tests run beside; the sweep by itself holds the figures that are promised.
fault_table.LEAVE_S = fault_warden.GONE_S = 3.0

SMALL = [
    (fault, method)
    for fault, method in sweep.chosen((), ())
    if fault is not TREES and (method.name in MOST_DIFFERENT or fault.name in WORST)
]
OTHERS = [cell for cell in sweep.chosen((), ()) if cell not in SMALL]


def ids(cells):
    return [f"{fault.name} on {method.name}" for fault, method in cells]


class Sweep:
    """A sweep that has come as far as somebody asked about."""

    def __init__(self, cells):
        self._coming = sweep.sweep(cells)
        self._verdicts = {}

    def verdict(self, fault, method):
        while (fault.name, method.name) not in self._verdicts:
            of, on, verdict = next(self._coming)
            self._verdicts[of.name, on.name] = verdict
        return self._verdicts[fault.name, method.name]

    def close(self):
        self._coming.close()


@pytest.fixture(scope="module")
def small():
    swept = Sweep(SMALL)
    yield swept
    swept.close()


@pytest.fixture(scope="module")
def others():
    swept = Sweep(OTHERS)
    yield swept
    swept.close()


def holds(verdict):
    assert verdict.word not in (FAILED, HUNG), "\n".join(verdict.why)


@pytest.mark.parametrize(("fault", "method"), SMALL, ids=ids(SMALL))
def test_only_the_bad_item_fails_and_nothing_is_left(fault, method, small):
    holds(small.verdict(fault, method))


@pytest.mark.whole_sweep
@pytest.mark.parametrize(("fault", "method"), OTHERS, ids=ids(OTHERS))
def test_the_same_of_every_fault_and_method(fault, method, others):
    holds(others.verdict(fault, method))


def test_the_table_has_the_32_faults_that_are_promised():
    assert len(FAULTS) == 32
    assert len({fault.name for fault in FAULTS}) == 32


def test_no_method_with_workers_is_let_off():
    with_workers = {m.name for m in table() if table().owners[m.name].local and not table().owners[m.name].in_process}
    assert with_workers == {method.name for _, method in SMALL} & with_workers
