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


def rows(cells):
    """The cells of each fault: a test, so that they run side by side within it, and whoever runs tests runs none twice."""
    found = {}
    for fault, method in cells:
        found.setdefault(fault.name, []).append((fault, method))
    return [pytest.param(cells, id=name) for name, cells in found.items()]


def broken(cells):
    """What did not hold, by method."""
    return {method.name: verdict.why for _, method, verdict in sweep.sweep(cells) if verdict.word in (FAILED, HUNG)}


@pytest.mark.parametrize("cells", rows(SMALL))
def test_only_the_bad_item_fails_and_nothing_is_left(cells):
    assert broken(cells) == {}


@pytest.mark.whole_sweep
@pytest.mark.timeout(900)
@pytest.mark.parametrize("cells", rows(OTHERS))
def test_the_same_of_every_fault_and_method(cells):
    assert broken(cells) == {}


def test_the_table_has_the_32_faults_that_are_promised():
    assert len(FAULTS) == 32
    assert len({fault.name for fault in FAULTS}) == 32


def test_no_method_with_workers_is_let_off():
    with_workers = {m.name for m in table() if table().owners[m.name].local and not table().owners[m.name].in_process}
    assert with_workers == {method.name for _, method in SMALL} & with_workers
