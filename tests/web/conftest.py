"""What the tests of `prun ui` share: the server as a process of its own, the browser, and runs to look at."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from functools import cached_property
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Chromium as root and in a container, and without a word to the network.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]

DEEDS = """
import sys

def double(x): return x * 2
def say(x): print("said", x); print("complained of", x, file=sys.stderr); return x
def fail(x): print("before", x); raise ValueError(f"cannot {x}")
def wait(x, path):
    print("waits", x, flush=True)
    with open(path) as pipe:  # until somebody writes
        pipe.read()
    return x
"""


class Served:
    """A running `prun ui`, and what it answers."""

    def __init__(self, process):
        self.process = process

    @cached_property
    def address(self):
        """As it is printed, once it listens."""
        return self.process.stdout.readline().strip()

    @property
    def port(self):
        return urlsplit(self.address).port

    @property
    def token(self):
        return urlsplit(self.address).path.strip("/")

    def ask(self, path="", *, method="GET", raw=None, headers=None):
        """The status, headers and text of what is at a path after the token; `raw`: at just that path."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.putrequest(method, raw if raw is not None else f"/{self.token}/{path}", skip_host=True)
        for name, value in {"Host": f"127.0.0.1:{self.port}", **(headers or {})}.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, text

    def end(self, number=signal.SIGINT):
        """The exit code, and what it said."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=30)
        return self.process.returncode, said


def environment(**more):
    return os.environ | {"PYTHONPATH": str(ROOT), "NO_COLOR": "1"} | more


@pytest.fixture(autouse=True)
def _own_key(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("PRUN_STATE", raising=False)


def started(folder, *words, **variables):
    """`prun ui` in a folder."""
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline_runner", "ui", *(words or ["--no-open"])],
        cwd=folder,
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def serve(tmp_path):
    """Start `prun ui` in the folder of the test."""
    begun = []

    def serve(*words, **variables):
        begun.append(started(tmp_path, *words, **variables))
        return Served(begun[-1])

    yield serve
    for process in begun:
        process.kill()
        process.communicate()


def written(folder, stages, **top):
    """A pipeline, and the functions it may call."""
    (folder / "deeds.py").write_text(DEEDS)
    (folder / "pipeline.yaml").write_text(json.dumps({"version": 1, "name": "p", **top, "stages": stages}))


@pytest.fixture
def write(tmp_path):
    """Write a pipeline into the folder of the test."""

    def write(stages, **top):
        written(tmp_path, stages, **top)

    return write


def begun_in(folder, *words):
    command = [sys.executable, "-m", "pipeline_runner", "pipeline.yaml", "-q", *words]
    return subprocess.Popen(
        command, cwd=folder, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


@pytest.fixture
def begin(tmp_path):
    """Start a run, and give its process."""
    begun = []

    def begin(*words):
        begun.append(begun_in(tmp_path, *words))
        return begun[-1]

    yield begin
    for process in begun:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def chain(tmp_path_factory):
    """A folder with one run, in which two calls have failed."""
    folder = tmp_path_factory.mktemp("chain")
    stages = {
        "a": {"call": "deeds:say", "over": [1, 2]},
        "bad": {"call": "deeds:fail", "over": [1, 2], "needs": ["a"], "on_error": "finish"},
        "after": {"call": "deeds:double", "with": [1], "needs": ["bad"]},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        patch.delenv("PRUN_STATE", raising=False)
        written(folder, stages, name="a chain")
        assert begun_in(folder).wait() == 1
    return folder


@pytest.fixture(scope="session")
def shared(chain):
    """`prun ui` at that run, for tests that only ask."""
    process = started(chain)
    yield Served(process)
    process.kill()
    process.communicate()


def found_browser():
    return next(filter(None, map(shutil.which, ("/usr/bin/chromium", "chromium", "google-chrome"))), None)


@pytest.fixture(scope="module")  # as long as it is there, its event loop runs in this thread, and no other can
def browser():
    """A real Chromium."""
    path = found_browser()
    if path is None:
        why = "no Chromium; apt-get install chromium"
        if os.environ.get("NEEDS_BROWSER") == "1":
            pytest.fail(why)
        pytest.skip(why)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


class Seen:
    """A page of the browser, and all that its console, its dialogs and its errors have said."""

    def __init__(self, context):
        self.page = context.new_page()
        self.page.set_default_timeout(20_000)
        self.heard, self.fetched = [], []
        self.page.on("console", lambda message: self.heard.append(message.text))
        self.page.on("pageerror", lambda error: self.heard.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.heard.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self.fetched.append(request.url))

    def text(self):
        return self.page.evaluate("document.body.textContent")


@pytest.fixture
def look(browser):
    """Open an address in a browser that knows nothing of earlier ones."""
    contexts = []

    def look(address, **options):
        contexts.append(browser.new_context(**options))
        seen = Seen(contexts[-1])
        seen.page.goto(address)
        return seen

    yield look
    for context in contexts:
        context.close()
