"""Real runs on real clusters, which the runs start themselves: a project in a folder, and the command as users run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import yaml

DEEDS = """
import ctypes, os, signal, sys, time
from pathlib import Path

HERE = Path(__file__).parent


def note(*told):
    with open(HERE / "made", "ab", buffering=0) as file:
        file.write((" ".join(map(str, told)) + chr(10)).encode())


def double(x):
    note("double", x)
    print("doubling", x)
    return 2 * x


def add(x, y=0):
    return x + y


def deed(x):
    if x == 1:
        raise ValueError("no one")
    if x == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    if x == 5:
        os._exit(7)
    if x == 7:
        time.sleep(60)
    if x == 9:
        print("last words")
        ctypes.string_at(0)
    return x


def dies_once(x):
    try:
        os.close(os.open(HERE / f"died-{x}", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return x
    os.kill(os.getpid(), signal.SIGKILL)


def held(x):
    # Waits for ever, once it has said who it is, unless it is told that it need not.
    note("held", x)
    if x >= 2 and not (HERE / "open").exists():
        note("pid", os.getpid())
        signal.pause()
    return x


def where(x):
    return [os.getcwd(), os.environ.get("COLOUR"), os.environ.get("OMP_NUM_THREADS"), os.getpid()]


def grow(x):
    if x == 2:
        hold = bytearray(300 << 20)
        time.sleep(30)
    return x


def write(x, out):
    Path(out).write_text(str(x))
    return x


STATE = []


def set_up():
    STATE.append("ready")


def state(x):
    return STATE


def large(x):
    return bytes([x]) * (1 << 20)
"""


class Project:
    """A pipeline in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "deeds.py").write_text(textwrap.dedent(DEEDS))

    def write(self, stages: dict, **top: object) -> None:
        text = yaml.safe_dump({"version": 1, "workers": 2, "stages": stages, **top}, sort_keys=False)
        (self.folder / "pipeline.yaml").write_text(text)

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "pipeline_runner", *words]

    def environ(self) -> dict[str, str]:
        return {**os.environ, "COLUMNS": "160", "NO_COLOR": "1", "PRUN_STATE": str(self.folder / ".prun")}

    def prun(self, *words: str, within_s: float = 100) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env=self.environ(),
            capture_output=True,
            text=True,
            timeout=within_s,
            check=False,
        )

    def made(self) -> list[str]:
        """The calls that noted that they were made."""
        file = self.folder / "made"
        return sorted(file.read_text().splitlines()) if file.exists() else []

    def values(self, *words: str) -> dict[str, object]:
        """Each stage's value in a run that is to end well."""
        done = self.prun("pipeline.yaml", "--json", "--show", "all", *words)
        assert done.returncode in (0, 3), done.stderr
        return {name: stage["value"] for name, stage in json.loads(done.stdout)["stages"].items()}

    def processes(self) -> list[str]:
        """What runs and has to do with this project: its state folder is in its environment."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    mine = str(self.folder).encode() in (entry / "environ").read_bytes()
                    if mine and "Z" not in (entry / "stat").read_text().rpartition(") ")[2][:1]:
                        found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
                except OSError:
                    continue
        return found


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


@pytest.fixture(scope="module")
def make_project(tmp_path_factory):
    return lambda: Project(tmp_path_factory.mktemp("project"))
