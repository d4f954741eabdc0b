"""What all tests share: the repository, and the command as a user runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

# A shell starts `… &` with SIGINT ignored and nohup ignores SIGHUP; the commands that the tests start would inherit
# that and rightly not hear the signals which they are sent. A test that wants them ignored says so itself.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(autouse=True)
def _own_modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A pipeline that runs here has its folder on the path, and its modules in this process: not for the next test, which
    may have a `work.py` of its own."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in sys.modules.keys() - modules:
        file = getattr(sys.modules[name], "__file__", None)
        if isinstance(file, str) and Path(file).is_relative_to(tmp_path_factory.getbasetemp()):
            del sys.modules[name]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder of the whole project."""
    return REPOSITORY


@pytest.fixture(scope="module")
def own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A state folder apart: pipelines whose functions are beside the tests would share the one that is there, and no two
    test processes may run the same pipeline at the same time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRUN_STATE", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture
def python(tmp_path: Path) -> Run:
    """Run `python ARGUMENTS…` in a folder, with this checkout importable, and give what it wrote."""

    def run(*arguments: str, cwd: Path = tmp_path, timeout_s: float = 90) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=cwd,
            env=os.environ | {"PYTHONPATH": str(REPOSITORY), "COLUMNS": "120", "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=timeout_s,
            check=False,
        )

    return run


@pytest.fixture
def prun(python: Run) -> Run:
    """Run `prun ARGUMENTS…` in a folder and give what it wrote."""

    def run(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
        return python("-m", "pipeline_runner", *arguments, **options)

    return run
