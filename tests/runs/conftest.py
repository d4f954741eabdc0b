"""Real runs on real pools: a pipeline's text in, its result and its events out."""

from __future__ import annotations

import os
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

    @property
    def status(self):
        return str(self.result.status)

    def statuses(self):
        return {name: str(stage.status) for name, stage in self.result.state.stages.items()}

    def of(self, *kinds, stage=None):
        return [e for e in self.events if isinstance(e, kinds) and (stage is None or e.stage == stage)]

    def failed(self):
        return [(f.stage, f.index, f.failure.type) for f in self.result.failures]

    def place(self, kind, stage):
        """Where in the order of events the first of this kind for this stage stands."""
        return next(at for at, e in enumerate(self.events) if isinstance(e, kind) and e.stage == stage)


def pipeline(stages, **top):
    """A pipeline of stages as YAML would have them, whose functions are in `deeds.py` beside this file."""
    import json

    return Pipeline.from_text(json.dumps({"version": 1, "stages": stages, **top}), folder=HERE)


@pytest.fixture
def made():
    return pipeline


@pytest.fixture(autouse=True, scope="module")
def _own_state(own_state):
    pass


@pytest.fixture
def run():
    """Run stages and give what happened."""

    def run(stages, *, workers=2, keep="all", **top):
        events = []
        result = pipeline(stages, **top).run(workers=workers, keep=keep, on_event=events.append)
        return Ran(result, events)

    return run


@pytest.fixture
def start():
    """Begin a run that is ended with the test, whatever happens in it."""
    begun = []

    def start(stages, *, workers=2, on_event=(), **top):
        run = pipeline(stages, **top).start(workers=workers, on_event=on_event)
        begun.append(run)
        return run

    yield start
    for run in begun:
        run.cancel()
        run.__exit__(None, None, None)


@pytest.fixture
def gate(tmp_path):
    """A door that calls wait at: `path` to give them, `open()` to let one through."""

    class Gate:
        path = str(tmp_path / "gate")

        def __init__(self):
            os.mkfifo(self.path)

        def open(self):
            with open(self.path, "w"):
                pass

    return Gate()


def alive(pid):
    """Whether a process is there and is more than a corpse."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture(name="alive")
def alive_fixture():
    return alive
