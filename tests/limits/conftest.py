"""Runs on real pools whose calls are in `limit_deeds.py`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline_runner import Pipeline

HERE = Path(__file__).parent


class Ran:
    """A run that has ended: its result, and every event of it in order."""

    def __init__(self, result, events):
        self.result = result
        self.events = events

    def __getitem__(self, stage):
        return self.result[stage]

    def of(self, *kinds):
        return [event for event in self.events if isinstance(event, kinds)]

    def failures(self):
        return {failed.index: str(failed.failure.cause) for failed in self.result.failures}


@pytest.fixture(autouse=True, scope="module")
def _own_state(own_state):
    pass


@pytest.fixture
def run():
    def run(stages, *, workers=2):
        events = []
        text = json.dumps({"version": 1, "stages": stages})
        return Ran(Pipeline.from_text(text, folder=HERE).run(workers=workers, on_event=events.append), events)

    return run


def alive(pid):
    """Whether a process is there and is more than a corpse."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.fixture
def pids(tmp_path):
    """A file that calls write the numbers of their processes to."""

    class Pids:
        path = str(tmp_path / "pids")

        def all(self):
            return [int(word) for word in Path(self.path).read_text().split() if word != "ready"]

        def alive(self):
            return [pid for pid in self.all() if alive(pid)]

        def ready(self):
            try:
                return "ready" in Path(self.path).read_text()
            except OSError:
                return False

    return Pids()
