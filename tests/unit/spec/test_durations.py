from __future__ import annotations

import re

import pytest

from pipeline_runner.spec.durations import PATTERN, seconds

GOOD = {
    "30s": 30,
    "5m": 300,
    "1h30m": 5400,
    "1h30m15s": 5415,
    "500ms": 0.5,
    "1.5h": 5400,
    "2d": 172800,
    "0s": 0,
    "1m500ms": 60.5,
}
BAD = ["", "5", "5x", "s", "1m1h", "-5s", "5 s", "1h30", "1e3s", "9999999999s", "5s\n", "٣s"]


@pytest.mark.parametrize(("text", "meant"), GOOD.items())
def test_a_duration_is_read(text, meant):
    assert seconds(text) == pytest.approx(meant)


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_duration_is_none(text):
    assert seconds(text) is None


@pytest.mark.parametrize("text", [*GOOD, *BAD])
def test_the_schema_reads_what_we_read(text):
    matches = re.search(PATTERN, text) is not None and not text.endswith("\n")
    assert matches == (seconds(text) is not None)
