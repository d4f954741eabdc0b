"""A project whose calls leave a line each time they are made, run again and again in one state folder."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
import yaml

from pipeline_runner import Pipeline

NOTE = """
from pathlib import Path

HERE = Path(__file__).parent


def note(*told):
    with open(HERE / "made", "ab", buffering=0) as file:
        file.write((" ".join(map(str, told)) + chr(10)).encode())
"""


class Made:
    """A pipeline in a folder of its own: write its modules, files and stages, `run` it, ask what was `made`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / ".prun"
        self.file = folder / "pipeline.yaml"
        (folder / "notes.py").write_text(NOTE)

    def module(self, name: str, text: str) -> None:
        (self.folder / f"{name}.py").write_text(textwrap.dedent(text))

    def write(self, path: str, text: str) -> Path:
        """A file that was there long before anyone looks."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def stages(self, stages: dict, **top: object) -> None:
        self.file.write_text(yaml.safe_dump({"version": 1, "stages": stages, **top}, sort_keys=False))

    def load(self, **more) -> Pipeline:
        return Pipeline.load(self.file, **more)

    def run(self, *, params: dict | None = None, part: dict | None = None, **more):
        more.setdefault("workers", 2)
        pipeline = self.load(params=params)
        return pipeline.part(**(part or {})).run(**more)

    def forecast(self, *, params: dict | None = None, part: dict | None = None, **more):
        more.setdefault("workers", 2)
        return self.load(params=params).part(**(part or {})).forecast(**more).stages

    def made(self) -> list[str]:
        """The calls that were made since this was asked last, sorted."""
        file = self.folder / "made"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return sorted(lines)


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / "project"
    folder.mkdir()
    return Made(folder)
