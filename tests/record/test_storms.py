"""The storms over the run store, in a size for every day; `python tests/record/sweep.py` has the full ones."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import histories
import storms

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize(
    ("storm", "size"),
    [
        (storms.kills, 6),
        (storms.failpoints, 3),
        (storms.page_limits, 4),
        (storms.corruptions, 25),
        (storms.second_runners, 1),
        (histories.histories, 4),
        (storms.clocks, 1),
        (storms.chaos, 2),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_nothing_is_lost_and_nothing_is_wrong_in(storm, size):
    assert storm(size)
