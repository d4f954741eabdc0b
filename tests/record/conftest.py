"""Projects whose calls leave a line each time they are made, run again and again in one state folder."""

from __future__ import annotations

import textwrap
from collections import Counter
from pathlib import Path

import pytest
import yaml

from pipeline_runner import Pipeline

HEAD = """
import os
from pathlib import Path

HERE = Path(__file__).parent


def note(*told):
    with open(HERE / "made", "ab", buffering=0) as file:
        file.write((" ".join(map(str, told)) + chr(10)).encode())
"""


class Project:
    """A pipeline in a folder of its own: `write` its functions and stages, `run` it, ask what was `made`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / ".prun"
        self.file = folder / "pipeline.yaml"
        self.events: list[object] = []

    def functions(self, text: str) -> None:
        (self.folder / "work.py").write_text(HEAD + textwrap.dedent(text))

    def stages(self, stages: dict, **top: object) -> None:
        self.file.write_text(yaml.safe_dump({"version": 1, "stages": stages, **top}, sort_keys=False))

    def run(self, *, resume: bool | str = False, params: dict | None = None, **more):
        self.events = []
        more.setdefault("workers", 2)
        return Pipeline.load(self.file, params=params).run(resume=resume, on_event=self.events.append, **more)

    def made(self) -> Counter[str]:
        """The calls that were made since this was asked last."""
        file = self.folder / "made"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return Counter(lines)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / "project"
    folder.mkdir()
    return Project(folder)
