"""What a call forks by itself is its own affair: nothing of ours reaches into it."""

from __future__ import annotations

import pytest

from pipeline_runner import Pipeline

DEEDS = """
import os, signal

def fork_twice(item):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setpgid(0, 0)
        group = os.getpgid(0)
        if os.fork() == 0:
            kept = signal.getsignal(signal.SIGTERM) is signal.SIG_IGN and os.getpgid(0) == group
            os.write(writer, b"1" if kept else b"0")
            os._exit(0)
        os.wait()
        os._exit(0)
    os.wait()
    return os.read(reader, 1) == b"1"
"""


@pytest.mark.timeout(60)
@pytest.mark.parametrize("start_method", ["forkserver", "fork", "spawn"])
def test_a_forked_child_keeps_the_group_and_the_signals_that_a_call_has_chosen(tmp_path, start_method):
    (tmp_path / "deeds.py").write_text(DEEDS)
    stages = f"stages: {{a: {{call: 'deeds:fork_twice', over: [1], backend: multiprocessing, start_method: {start_method}}}}}"
    result = Pipeline.from_text(stages, folder=tmp_path).run(workers=2, state=False)
    assert result["a"] == [True]
