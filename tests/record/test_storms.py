"""The storms over the run store, in a size for every day; `python tests/record/sweep.py` has the full ones."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import histories
import storm_damage
import storm_kills
import storm_system
import storm_writes
import storms

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize(
    ("storm", "trials"),
    [
        (storm_kills.kills, range(6)),
        (storm_writes.failpoints, range(0, 280, 27)),
        (storm_system.writes, range(0, 300, 33)),
        (storm_writes.page_limits, range(0, 9, 2)),
        (storm_damage.corruptions, range(25)),
        (storms.second_runners, range(1)),
        (histories.histories, range(4)),
        (storms.needs, range(2, 4)),
        (storms.clocks, range(1)),
        (storms.chaos, range(2)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_nothing_is_lost_and_nothing_is_wrong_in(storm, trials):
    tally = storm(trials, 1)
    assert not tally.found, "\n".join(tally.found)
    assert tally.trials
    assert tally.held
