"""The sweep's figures are counted: what is found is told, ends nothing, and is never taken for a promise that held."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from tally import BROKEN_OFF, Tally  # noqa: E402


def storm(trials):
    tally = Tally.of("items lost")
    for trial in trials:
        with tally.trial(trial):
            tally.trials += 1
            tally.at_most("slowest, s", trial / 10)
            tally.check(trial != 2, "items lost", trial, "was finished")
            if trial == 3:
                raise TimeoutError("it hangs")
    return tally


def test_what_is_found_is_counted_and_does_not_end_the_storm():
    tally = storm(range(5))
    assert tally.trials == 5
    assert not tally.held
    assert tally.figures() == {"slowest, s": 0.4, "items lost": 1, BROKEN_OFF: 1}
    assert tally.found[0] == "items lost: 2, was finished"
    assert "TimeoutError: it hangs" in tally.found[1]


def test_what_was_never_found_is_a_figure_too():
    tally = storm(range(2))
    assert tally.held
    assert not storm(range(0)).held
    assert tally.figures() == {"slowest, s": 0.1, "items lost": 0, BROKEN_OFF: 0}


def test_parts_are_added_together_as_they_come_from_their_processes():
    one, other = (Tally.loads(storm(trials).dumps()) for trials in (range(3), range(3, 5)))
    assert (one + other) == storm(range(5))


@pytest.fixture(scope="module")
def sweep():
    spec = importlib.util.spec_from_file_location("store_sweep", HERE / "sweep.py")
    module = sys.modules["store_sweep"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.timeout(60)
def test_a_part_that_dies_is_a_promise_not_held(sweep):
    dead = sweep.Storm("no such storm", "P5", storm, 4, 2)
    tally, _ = sweep.parts(dead, range(4), 1)[1].run()
    assert tally.figures() == {BROKEN_OFF: 1}
    assert tally.found[0].startswith("no such storm=2:4 (seed 3): trials broken off: the whole part")
    told = sweep.by_promise({"kills": sweep.Sum(storm(range(2)) + tally, 100, 1.5)})
    assert told["P5"]["held"] is False
    assert (told["P5"]["size"], told["P5"]["promised"], told["P5"]["seconds"]) == (2, 100, 1.5)


@pytest.mark.timeout(120)
def test_one_command_writes_the_figures_for_another_page(tmp_path):
    command = [sys.executable, HERE / "sweep.py", "clocks=1", "page_limits=2:3", "--json", tmp_path / "figures.json"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert list(figures) == ["P6", "P17"]
    assert figures["P17"]["figures"]["wrong results"] == 0
    assert figures["P17"]["held"] is True
    assert "clocks=0:1 (seed 1): 1 trials" in ended.stderr
