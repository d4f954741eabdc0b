"""What Python compiled before an edit is never run for the edited source."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

CALL = "import sys; from pipeline_runner.worker.functions import resolve; print(resolve('module', 'm', 'f', '.')())"


def called(folder):
    return python(folder, CALL)


def python(folder, code):
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[3])
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environ, capture_output=True, text=True, timeout=50, check=True
    ).stdout.strip()


def write(folder, number, at):
    (folder / "m.py").write_text(f"def f(): return {number}\n")
    os.utime(folder / "m.py", (at, at))


def test_an_edit_of_the_same_size_in_the_same_second_is_seen(tmp_path):
    at = int(time.time()) + 1  # whatever the machine's speed, it has only just been changed
    write(tmp_path, 1, at)
    assert called(tmp_path) == "1"
    write(tmp_path, 2, at)
    assert called(tmp_path) == "2"


def test_what_was_changed_long_ago_is_compiled_once(tmp_path):
    write(tmp_path, 1, time.time() - 60)
    assert called(tmp_path) == "1"
    assert list(tmp_path.glob("__pycache__/m.*.pyc"))


def test_an_edit_that_has_the_time_and_size_of_what_was_there_is_seen(tmp_path):
    at = time.time() - 60
    write(tmp_path, 1, at)
    assert called(tmp_path) == "1"
    write(tmp_path, 2, at)
    assert called(tmp_path) == "2"


COMPILE = "import py_compile; py_compile.compile('m.py')"
IN_A_CALL = f"from pipeline_runner.worker.compiled import believe_sources_only; believe_sources_only(); {COMPILE}"


@pytest.mark.parametrize("code", [COMPILE, IN_A_CALL], ids=["python", "a call"])
def test_what_others_have_compiled_is_not_taken_on_trust(tmp_path, code):
    at = time.time() - 60
    write(tmp_path, 1, at)
    python(tmp_path, code)
    assert list(tmp_path.glob("__pycache__/m.*.pyc"))
    write(tmp_path, 2, at)
    assert called(tmp_path) == "2"


def test_what_was_compiled_is_used_as_long_as_it_is_of_the_same_source(tmp_path):
    write(tmp_path, 1, time.time() - 60)
    assert called(tmp_path) == "1"
    (compiled,) = tmp_path.glob("__pycache__/m.*.pyc")
    before = compiled.stat()
    os.utime(tmp_path / "m.py")  # another time, and the same source
    assert called(tmp_path) == "1"
    assert (compiled.stat().st_mtime_ns, compiled.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert python(tmp_path, "import m; print(m.f())") == "1"
