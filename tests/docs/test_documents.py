"""Every example in the README and in docs/ is run, in the order of its page, in a folder of the page's own.

- a block with `title="name"` is written to that file;
- in a `console` block each `$ line` is run, and what it writes must be what follows; `…` stands for anything
  (a command that fails shows its stderr too);
- a `sh` block installs things: .ci/run runs the README's;
- `text`, `mermaid` and `toml` are only read.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from math import isqrt
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(str(page.relative_to(ROOT)) for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")))
FENCE = re.compile(r"^```(?P<language>\w*)(?P<rest>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
RUN_OR_READ = {"console", "sh", "text", "mermaid", "toml"}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    line: int
    language: str
    title: str  # the file that it is; empty for none
    body: str


def blocks(page: str) -> Iterator[Block]:
    text = (ROOT / page).read_text("utf-8")
    for found in FENCE.finditer(text):
        title = re.search(r'title="([^"]+)"', found["rest"])
        yield Block(text.count("\n", 0, found.start()) + 1, found["language"], title[1] if title else "", found["body"])


def commands(body: str) -> Iterator[tuple[str, str]]:
    """The commands of a console block, each with what is written under it."""
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output


def matches(shown: str, got: str) -> bool:
    """Whether the output is as shown, `…` standing for anything and trailing blanks for nothing."""
    wanted = [line.rstrip() for line in shown.strip("\n").splitlines()]
    pattern = ".*".join(map(re.escape, "\n".join(wanted).split("…")))
    return (
        re.fullmatch(pattern, "\n".join(line.rstrip() for line in got.strip("\n").splitlines()), re.DOTALL) is not None
    )


@pytest.fixture
def shell(tmp_path: Path):
    """Run a line of shell where `prun` and `python` are this checkout's."""
    tools = tmp_path / ".bin"
    tools.mkdir()
    # As pip installs it: the current folder is not on the path of `prun`, as it is on that of `python -m`.
    (tools / "prun").write_text(f"#!{sys.executable}\nfrom pipeline_runner.__main__ import main\n\nmain()\n")
    (tools / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    for tool in tools.iterdir():
        tool.chmod(0o755)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    state = str(tmp_path / "state")
    env = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "100", "NO_COLOR": "1", "PRUN_STATE": state}

    def run(line: str) -> tuple[int, str]:
        ran = subprocess.run(
            ["bash", "-c", line],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        return ran.returncode, ran.stdout + (ran.stderr if ran.returncode else "")

    return run


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.timeout(110)
def test_what_a_page_shows_is_what_happens(page, tmp_path, shell):
    for block in blocks(page):
        if block.title:
            file = tmp_path / block.title
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.body, "utf-8")
        if block.language == "console":
            for command, shown in commands(block.body):
                code, got = shell(command)
                assert matches(shown, got), (
                    f"{page}:{block.line}: $ {command}\nshown:\n{shown}\ngot (exit {code}):\n{got}"
                )


@pytest.mark.parametrize("page", PAGES)
def test_a_block_is_a_file_or_is_run(page):
    loose = [block for block in blocks(page) if not block.title and block.language not in RUN_OR_READ]
    assert [f"{page}:{block.line}: {block.language}" for block in loose] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_between_pages_lead_somewhere(page):
    text = FENCE.sub("", (ROOT / page).read_text("utf-8"))
    targets = [target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]
    missing = [target for target in targets if target and not ((ROOT / page).parent / target).exists()]
    assert missing == []


@pytest.mark.timeout(60)
def test_a_backend_written_as_contributing_says_runs_a_pipeline(tmp_path, shell):
    (backend,) = (block for block in blocks("CONTRIBUTING.md") if block.title == "thread_pool.py")
    (tmp_path / "thread_pool.py").write_text(backend.body, "utf-8")
    installed = tmp_path / "thread_pool-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: thread-pool\nVersion: 1\n", "utf-8")
    (installed / "entry_points.txt").write_text("[pipeline_runner.backends]\nt = thread_pool:BACKEND\n", "utf-8")
    (tmp_path / "pipeline.yaml").write_text(
        "version: 1\nname: plugged\nstages: {root: {call: 'math:isqrt', over: {range: 100}, backend: thread_pool}}\n",
        "utf-8",
    )

    code, got = shell(f"PYTHONPATH={tmp_path}:$PYTHONPATH prun pipeline.yaml --json")

    assert code == 0, got
    root = json.loads(got)["stages"]["root"]
    assert root["method"] == "multiprocessing.pool.ThreadPool.apply_async"
    assert root["value"] == [isqrt(number) for number in range(100)]


def test_what_is_generated_is_fresh():
    checked = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
