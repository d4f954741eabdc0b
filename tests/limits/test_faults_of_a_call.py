"""Only the call that is at fault fails, its cause is told, and all others complete, on every kind of pool."""

from time import monotonic

import pytest

pytestmark = pytest.mark.timeout(60)

METHODS = [
    "multiprocessing.Pool.imap",
    "concurrent.futures.ProcessPoolExecutor.map",
    "pathos.ProcessPool.map",
    "ppft.Server.submit",
    "multiprocessing.Process",
]
FAULTS = [
    ("hang_with_a_child", {"timeout": "1s"}, "timeout"),
    ("fork_beside_a_held_lock", {"timeout": "2s"}, "timeout"),
    ("recurse", {}, "raised"),
    ("nest", {}, "result"),
]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("deed", "keys", "cause"), FAULTS)
def test_only_the_call_at_fault_fails(run, method, deed, keys, cause):
    stage = {"call": f"limit_deeds:{deed}", "over": [0, 0, 1, 0], "on_error": "skip", "method": method}
    began = monotonic()
    ran = run({"fault": stage | keys})
    assert ran.failures() == {2: cause}
    assert monotonic() - began < 10


@pytest.mark.parametrize("method", METHODS)
def test_a_thread_that_a_call_leaves_does_not_keep_the_run(run, method):
    began = monotonic()
    ran = run({"leave": {"call": "limit_deeds:leave_a_thread", "over": [1, 2, 3], "method": method}})
    assert ran["leave"] == [1, 2, 3]
    assert monotonic() - began < 10
