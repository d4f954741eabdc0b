"""A smaller size of each probe for every day, and the ends of a run that once went wrong.

The whole ones are measured by `python tests/promises.py`.
"""

import probe_ends
import probe_isolation
import probe_lines
import probe_refusals
import probe_stream
import pytest
from fault_warden import HELD, NOT_HERE

pytestmark = pytest.mark.timeout(110)

# Here other tests run beside; the probes by themselves hold the figures that are promised.
probe_ends.LIMIT_S = probe_ends.AFTER_SIGKILL_S = 6.0
probe_lines.NEAR = 4.0
probe_lines.TRIES = 1
# A forked worker inherits pytest's own ear for warnings, which keeps them from stderr.
probe_lines.POOLS = {name: pool for name, pool in probe_lines.POOLS.items() if name != "fork"}

ONCE_WRONG = [
    cut
    for cut in probe_ends.cuts()
    if cut.deed == "print_slowly"
    or (cut.way == "default" and cut.start is probe_ends.closed_terminal_outlived)
    or (cut.way == "default" and cut.kind == "SIGHUP" and cut.start is probe_ends.terminal)
]


def holds(found):
    assert found.wrong == []


@pytest.mark.parametrize("cut", ONCE_WRONG, ids=lambda cut: cut.name)
def test_a_run_that_is_told_to_end_late_or_without_its_terminal_ends_with_the_promised_code(cut):
    verdict = probe_ends.watch(cut)
    assert verdict.word in (HELD, NOT_HERE), "\n".join(verdict.why)


@pytest.mark.parametrize("start", [probe_ends.terminal, probe_ends.nohup, probe_ends.container, probe_ends.orphan])
def test_a_run_ends_in_order_wherever_it_was_started(start):
    cut = next(cut for cut in probe_ends.cuts() if cut.start is start and cut.kind == "SIGTERM")
    verdict = probe_ends.watch(cut)
    assert verdict.word in (HELD, NOT_HERE), "\n".join(verdict.why)


def test_bad_inputs_are_refused_in_words_with_the_right_exit_code():
    holds(probe_refusals.measure(12))


def test_at_least_sixty_bad_inputs_are_known():
    assert len({bad.name for bad in probe_refusals.ALL}) == len(probe_refusals.ALL) >= 60


def test_a_stream_is_read_ahead_only_so_far_in_flat_memory():
    holds(probe_stream.measure(60_000))


def test_captured_lines_are_whole_and_of_their_item():
    holds(probe_lines.measure(8_400))


def test_calls_do_not_find_what_others_changed_on_any_method():
    holds(probe_isolation.measure(12))
