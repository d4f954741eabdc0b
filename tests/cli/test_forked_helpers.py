"""The fork server and its tracker are forked from the runner, and nothing of the runner's is left in them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each is an interpreter of its own"),
]

DEEDS = """
import os, signal, sys
from contextlib import suppress
from pathlib import Path


def files(pid):
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):  # that of the listing
            yield fd, os.readlink(f"/proc/{pid}/fd/{fd}")


def of(pid):
    signals = dict(line.split(":\\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {
        "pid": pid,
        "words": Path(f"/proc/{pid}/cmdline").read_text().split("\\0"),
        "name": Path(f"/proc/{pid}/comm").read_text().strip(),
        "files": dict(files(pid)),
        "ignored": int(signals["SigIgn"], 16),
        "caught": int(signals["SigCgt"], 16),
    }


def family():
    server = os.getppid()
    runner = int(Path(f"/proc/{server}/stat").read_text().rpartition(") ")[2].split()[1])
    children = Path(f"/proc/{runner}/task/{runner}/children").read_text().split()
    main = sys.modules["__main__"]
    return {
        "worker": of(os.getpid()),
        "server": of(server),
        "tracker": [of(int(pid)) for pid in children if int(pid) != server],
        "runner": of(runner),
        "main": sorted(name for name in vars(main) if name in ("__file__", "__spec__") and vars(main)[name]),
        "argv": sys.argv,
        "stdout": type(sys.__stdout__).__name__,
        "sigint": str(signal.getsignal(signal.SIGINT)),
        "sigterm": str(signal.getsignal(signal.SIGTERM)),
    }


def within():
    from pipeline_runner import Pipeline, Stage

    result = Pipeline("inner", [Stage("abs", call=abs, over=[-1, -2, -3], start_method="forkserver")]).run(workers=2)
    return result["abs"]


def wait(here):
    Path(here).write_text(f"{os.getpid()} {os.getppid()}")
    signal.pause()
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "deeds.py").write_text(DEEDS)
    return tmp_path


def value(prun, folder, call, **keys):
    stage = {"call": f"deeds:{call}", **keys}
    (folder / "pipeline.yaml").write_text(json.dumps({"version": 1, "stages": {"one": stage}}))
    done = prun("pipeline.yaml", "--json", "-j", "2")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["stages"]["one"]["value"]


def bit(number):
    return 1 << (number - 1)


def test_they_are_what_the_library_would_have_started(prun, folder):
    told = value(prun, folder, "family")
    (tracker,) = told["tracker"]
    server = told["server"]
    for helper in (server, tracker):
        assert helper["name"].startswith("python"), "`pkill prun` is meant for the runner"
        assert helper["words"][:2] == [told["runner"]["words"][0], "-c"] or "-c" in " ".join(helper["words"])
        assert helper["files"]["1"] == helper["files"]["2"] or "1" not in helper["files"], "stdout is for results"
        assert not any("journal" in file for file in helper["files"].values())
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        assert server["ignored"] & bit(number)
    assert tracker["ignored"] & bit(signal.SIGTERM)
    assert (told["main"], told["stdout"]) == ([], "TextIOWrapper")
    assert "default_int_handler" not in told["sigint"]
    assert "leave" not in told["sigterm"]


def test_a_call_may_run_a_pipeline_of_its_own(prun, folder):
    assert value(prun, folder, "within") == [1, 2, 3]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_they_end_with_the_runner(folder, number):
    (folder / "pipeline.yaml").write_text(
        json.dumps({"version": 1, "stages": {"one": {"call": "deeds:wait", "with": [str(folder / "pids")]}}})
    )
    words = [sys.executable, "-m", "pipeline_runner", "pipeline.yaml", "-q"]
    with subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as runner:
        until = time.monotonic() + 40
        while not (folder / "pids").exists() and time.monotonic() < until:
            time.sleep(0.01)
        below = [int(pid) for pid in Path(f"/proc/{runner.pid}/task/{runner.pid}/children").read_text().split()]
        pids = [*below, *map(int, (folder / "pids").read_text().split())]
        assert len(below) == 2
        os.kill(runner.pid, number)
        runner.wait(30)
    while any(map(alive, pids)) and time.monotonic() < until:
        time.sleep(0.01)
    assert not any(map(alive, pids))


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False
