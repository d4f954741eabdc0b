"""A process that is forked while another thread imports can import the same module."""

from __future__ import annotations

import importlib
import os
import sys
import threading
import time

import pytest

import pipeline_runner.backends._launch  # noqa: F401 - it is what asks to be told of forks
from pipeline_runner import Pipeline, Stage, forking

pytestmark = pytest.mark.timeout(60)
MODULE = """
import threading
gate = next(t for t in threading.enumerate() if t.name == "importer") if threading.active_count() > 1 else None
if gate is not None:
    gate.inside.set()
    gate.go_on.wait(30)
whole = True
"""


class Importer(threading.Thread):
    """It imports a module, and stays in the middle of it until it is told to go on."""

    def __init__(self):
        super().__init__(name="importer", daemon=True)
        self.inside, self.go_on = threading.Event(), threading.Event()

    def run(self):
        importlib.import_module("half_made")


@pytest.fixture
def importer(tmp_path, monkeypatch):
    (tmp_path / "half_made.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    thread = Importer()
    thread.start()
    assert thread.inside.wait(20)
    yield thread
    thread.go_on.set()
    thread.join()
    sys.modules.pop("half_made")


def child_imports():
    """Whether a child has the whole module; it is ended where it waits for ever."""
    pid = os.fork()
    if pid == 0:
        os._exit(0 if importlib.import_module("half_made").whole else 1)
    until = time.monotonic() + 20
    while time.monotonic() < until:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.01)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return False


def test_a_fork_waits_for_an_import(importer):
    threading.Timer(0.3, importer.go_on.set).start()
    assert child_imports()
    assert importer.go_on.is_set()


def test_where_it_waits_too_long_the_child_imports_it_anew(importer, monkeypatch):
    monkeypatch.setattr(forking, "PATIENCE_S", 0.05)
    assert child_imports()
    assert not importer.go_on.is_set()


def test_a_run_that_is_cancelled_waits_for_no_import(importer, monkeypatch):
    asked, look = threading.Event(), forking._imported_elsewhere

    def seen():
        asked.set()
        return look()

    monkeypatch.setattr(forking, "_imported_elsewhere", seen)
    monkeypatch.setattr(forking, "PATIENCE_S", 1e6)  # it would never come back
    with Pipeline("p", [Stage("a", call=abs, over=[1, 2], start_method="fork")]).start() as run:
        assert asked.wait(20)
        run.cancel()
    assert not importer.go_on.is_set()
    assert not forking._hurried


def test_an_import_that_forks_itself_does_not_wait(tmp_path, monkeypatch):
    (tmp_path / "forks.py").write_text("import os\npid = os.fork()\nif not pid: os._exit(0)\nos.waitpid(pid, 0)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(forking, "LOOK_S", 1e6)  # it would never come back
    importlib.import_module("forks")
    sys.modules.pop("forks")
