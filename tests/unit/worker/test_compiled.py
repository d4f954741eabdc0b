"""What Python compiled before an edit is never run for the edited source."""

import os
import subprocess
import sys
import time
from pathlib import Path

CALL = "import sys; from pipeline_runner.worker.functions import resolve; print(resolve('module', 'm', 'f', '.')())"


def called(folder):
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[3])
    return subprocess.run(
        [sys.executable, "-c", CALL], cwd=folder, env=environ, capture_output=True, text=True, timeout=50, check=True
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
