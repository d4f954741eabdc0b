"""Whatever a run with large values ends by, nothing of them is left; and they are not counted as a call's own memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import array_deeds as deeds
import pytest

from pipeline_runner import Pipeline, Stage

pytestmark = pytest.mark.timeout(90)

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
SCRIPT = """
import sys
sys.path.insert(0, {folder!r})
import array_deeds
from pipeline_runner import Pipeline, Stage
if __name__ == "__main__":
    made = Stage("made", call="array_deeds:made", over=list(range(8)), returns="iterator", start_method={start!r})
    stuck = Stage("stuck", call="array_deeds:stuck", over="${{stages.made}}", chunk=1, start_method={start!r},
                  **{{"with": {{"folder": {marks!r}}}}})
    Pipeline("p", [made, stuck], folder={folder!r}).run(workers=2, state={state!r})
"""


@pytest.mark.parametrize("start", ["fork", "forkserver", "spawn"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_when_the_runner_is_ended(tmp_path, number, start):
    marks, temporary = tmp_path / "marks", tmp_path / "tmp"
    marks.mkdir()
    temporary.mkdir()
    state = str(tmp_path / "state") if start == "forkserver" else False
    script = SCRIPT.format(folder=str(FOLDER), marks=str(marks), start=start, state=state)
    runner = subprocess.Popen(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    soon = threading.Event()
    while len(list(marks.iterdir())) < 2:
        assert runner.poll() is None
        soon.wait(0.02)
    assert len(readers(runner.pid)) >= 3
    os.kill(runner.pid, number)
    runner.wait()
    while readers(runner.pid):
        soon.wait(0.02)
    assert list(temporary.iterdir()) == []
    if state:
        assert not list(Path(state, "values", "new").iterdir())


def readers(runner):
    """Processes that have anything of a runner's memory for large values: open, or mapped."""
    name = f"prun-arena-{runner} "
    return [pid for pid in os.listdir("/proc") if pid.isdigit() and any(name in told for told in files(pid))]


def files(pid):
    with suppress(OSError):
        yield Path("/proc", pid, "maps").read_text()
    with suppress(OSError):
        for number in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                yield os.readlink(f"/proc/{pid}/fd/{number}")


def test_arguments_are_not_counted_as_a_calls_own_memory(tmp_path):
    limit = "160MiB"
    stages = [
        Stage("made", call="array_deeds:made", over=[1, 2], returns="iterator", **{"with": {"mib": 150}}),
        Stage("total", call="array_deeds:slow_total", over="${stages.made}", memory=limit),
        Stage("own", call="array_deeds:doubled_slowly", over="${stages.made}", memory=limit, on_error="skip"),
    ]
    result = Pipeline("p", stages, folder=FOLDER).run(workers=2, keep=["total"])
    assert result["total"] == [n * 150 * deeds.MIB / 8 for n in (1, 2)]
    assert {(failed.stage, failed.failure.cause.value) for failed in result.failures} == {("own", "memory")}
