"""What a worker does first."""

from __future__ import annotations

import sys
from types import ModuleType

from pipeline_runner.worker.start import may_have_children


def test_a_library_that_another_thread_was_importing_at_the_fork_does_not_break_the_worker(monkeypatch):
    half = ModuleType("multiprocess.process")
    monkeypatch.setitem(sys.modules, "multiprocess.process", half)
    may_have_children()
    exec("def current_process(): return _current_process", vars(half))
    may_have_children()
